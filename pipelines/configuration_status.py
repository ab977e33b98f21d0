"""`daybook config status`: where the configuration of a desk stands, and what it costs to read.

Belongs here: the port `Configurations` over a home, what `status` tells, and what a watcher leaves for it to tell. Does
not belong here: putting anything in force (`configuration.py`), what drift is (`trading/config/drift.py`), or printing
(`commands/`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

from assets.configuration import standing, versions
from pipelines.authored import authored, layers, merged
from pipelines.configuration import healed, proposed
from pipelines.configuration_history import compiled_files, ledger_in_force, ledger_of, refuse_strange_history
from pipelines.configuration_snapshot import compiled_settings
from pipelines.in_force import FOLDER, documents, in_force_settings
from pipelines.place import Place, strange_variables
from pipelines.settings import classified, refuse_no_desk
from pipelines.symbols import columns_of
from pipelines.wiring import LEDGER_FILE, configuration_metrics, no_ledger, signed_blobs, utc_now
from trading.config.change_events import Examined
from trading.config.drift import Drift, Named, Standing, drift, drifted
from trading.config.in_force import Version
from trading.config.measured import Measured
from trading.config.models import DeskSettings
from trading.config.snapshot import Snapshot
from trading.config.versions import VersionRecord
from trading.errors import ConfigError, DaybookError
from trading.ports import Configurations, Ledger

WATCHED = "watched.json"  # of the folder config: what the watcher saw last
SHOWN = 20  # changes and faults that are listed
_NO_SNAPSHOT = {"snapshot": None, "snapshot_bytes": None, "symbols": None, "open_ms": None}


# --- the port ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class DeskConfigurations:
    """The configuration of a home."""

    where: Place

    def files(self) -> DeskSettings:
        """What the files say, symbols and all."""
        return proposed(self.where).settings

    def in_force(self) -> tuple[Named, DeskSettings] | None:
        """What was applied; in development, what the files say."""
        settings = in_force_settings(self.where)
        real = settings is not None
        if settings is None:
            found = authored(self.where)
            if found.settings.environment != "development":
                return None
            settings = classified(found.settings, found.table, self.where)
        return _named(settings.content_hash(), self.where, real), settings

    def table(self, digest: str) -> bytes:
        """A table of symbols: as it is kept, else that of the files."""
        kept = documents(self.where)
        if kept.exists(digest):
            return kept.get(digest)
        found = authored(self.where)
        if found.table is None or found.settings.symbols.table_sha256 != digest:
            raise ConfigError(
                f"the table of symbols {digest[:12]} is not kept in {kept.root}, and the files have another one now. "
                "Run the same command again, so that it begins with what the files say now."
            )
        return found.table


def configurations(where: Place) -> Configurations:
    """The configuration of a desk, as a port."""
    return DeskConfigurations(where)


def _named(configuration: str, where: Place, real: bool) -> Named:
    """The name of what is in force. In development the pointer may be older than the files: then there is no number."""
    pointer = compiled_files(where).pointer()
    if pointer is None or not (real or pointer.configuration == configuration):
        return Named(configuration)
    return Named(configuration, pointer.number, datetime.fromisoformat(pointer.at))


# --- status -----------------------------------------------------------------------------------------------------------
def status(where: Place) -> dict[str, Any]:
    """What is in force and since when, by whom and why; whether files and the last close agree with it; what reading it
    costs; what the watcher last saw. `exit_code` is 1 where something drifted that is grave.

    A pointer that a killed process left behind is moved on first (`healed` says to which version). A ledger that is
    lost, older than the home or does not answer is a finding. Raises UsageError where there is no desk.
    """
    refuse_no_desk(where)
    moved = _healed(where)
    book = _ledger(where)
    found = _standing(where, book, moved["not_healed"] or "")
    judged = [*drift(found), *_of_the_ledger_of_files(where)]
    return {
        **_in_force(found, versions(book)),
        **_against(found),
        **_live(where, found),
        **(_costs(where) if found.in_force or found.damaged else {**_costs(where), **_NO_SNAPSHOT}),
        **watched(where),
        **moved,
        "notes": _notes(where),
        "drift": drifted(judged),
        "findings": [each._asdict() for each in judged],
        "exit_code": int(any(each.gravity == "error" for each in judged)),
    }


def metrics(found: Mapping[str, Any]) -> str:
    """What `status` told, as Prometheus reads it."""
    made = configuration_metrics()
    if found["configuration"] and found["since"]:
        since = datetime.fromisoformat(found["since"])
        size, symbols = found["snapshot_bytes"] or 0, found["symbols"] or 0
        made.first(Measured(found["version"] or 0, found["configuration"], since, found["environment"], size, symbols))
    for tell, name in ((made.loaded, "load_ms"), (made.validated, "validation_ms")):
        if found[name] is not None:
            tell(found[name] / 1000)
    made.drifted(found["drift"])
    made.watched(found["watcher"] != "none")
    made.counted(found["reloads"] or 0, found["refusals"] or 0)
    if found["breaker"]:
        made.breaker(found["breaker"])
    return made.text()


def _healed(where: Place) -> dict[str, Any]:
    """To which version the pointer was moved on, or why it could not be looked at."""
    try:
        moved = healed(where)
    except DaybookError as cause:
        return {"healed": None, "not_healed": str(cause)}
    return {"healed": moved.number if moved else None, "not_healed": None}


def _standing(where: Place, book: Ledger, unhealed: str) -> Standing:
    found = standing(configurations(where), book, signed_blobs(where))
    return found if unhealed in (found.wrong, found.damaged) else replace(found, unhealed=unhealed)


def _of_the_ledger_of_files(where: Place) -> list[Drift]:
    """What keeps the ledger that files name from being used, where it is another than the one in use."""
    try:
        chosen = authored(where).settings.data.storage.ledger
        now = ledger_in_force(where, compiled_files(where).pointer())
    except ConfigError:  # findings say so
        return []
    try:
        refuse_strange_history(where, now, chosen)
    except DaybookError as cause:
        said = f"the files have the ledger kept in {chosen.store}, which cannot be used, so they cannot be applied"
        return [Drift("ledger of the files", "error", f"{said}: {cause}")]
    return []


def _live(where: Place, found: Standing) -> dict[str, Any]:
    """Whether live orders could be sent now, and why, or why not."""
    if found.environment != "production" or found.in_force is None:
        return {"live": False, "live_why": f"no configuration of production is in force ({found.environment})"}
    from pipelines.live import status as live_status

    try:
        told = live_status(where)
    except DaybookError as cause:
        return {"live": False, "live_why": " ".join(str(cause).split())}
    return {"live": told["live"], "live_why": " ".join(str(told["why"]).split())}


def _notes(where: Place) -> list[str]:
    """What the files say that is allowed, and perhaps not meant; nothing where they are wrong: a finding says why."""
    try:
        found = proposed(where)
        return [*found.notes, *strange_variables(found.settings)]
    except DaybookError:
        return strange_variables()


def _ledger(where: Place) -> Ledger:
    """The ledger that has the history; an empty one where there is none yet, where no setting says which it is, and
    where it does not answer."""
    try:
        chosen = ledger_in_force(where, compiled_files(where).pointer())
        if chosen.store == "sqlite" and not (where.home / LEDGER_FILE).exists():
            return no_ledger()
        book = ledger_of(where, chosen)
        book.heads()
    except DaybookError:
        return no_ledger()
    return book


def _in_force(found: Standing, history: Sequence[VersionRecord]) -> dict[str, Any]:
    """The configuration in force, and who put it there. Of one that was never recorded nobody knows."""
    named = found.in_force
    record = next((one for one in history if named is not None and one.number == named.number), None)
    since = named.since if named is not None else None
    return {
        "environment": found.environment,
        "version": named.number if named is not None else None,
        "configuration": named.configuration if named is not None else None,
        "since": since.isoformat() if since is not None else None,
        "age_seconds": round((utc_now() - since).total_seconds(), 1) if since is not None else None,
        "author": record.author if record is not None else None,
        "reason": record.reason if record is not None else None,
        "versions": len(history) if history or not found.unhealed else None,
    }


def _against(found: Standing) -> dict[str, Any]:
    """What the files say, and what was signed, against it."""
    now, signed = found.in_force, found.signed
    agree = now is not None and found.files == now.configuration
    return {
        "files": "wrong" if found.files is None else "as in force" if agree else "not in force",
        "files_configuration": found.files,
        "changes": list(found.changed[:SHOWN]),
        "changed": len(found.changed),
        "signed_session": str(signed.session) if signed is not None else None,
        "signed_with": signed.configuration if signed is not None else None,
        "signed_version": signed.number if signed is not None else None,
    }


# --- what it costs ----------------------------------------------------------------------------------------------------
def _costs(where: Place) -> dict[str, Any]:
    """Milliseconds to read and merge the files, to judge and compile them, and to open the snapshot in force; its bytes
    and symbols. None of what cannot be done: findings say why."""
    return {"load_ms": None, "validation_ms": None, **_of_the_files(where), **_of_the_snapshot(where)}


def _of_the_files(where: Place) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        merged(layers(where))
        read = time.perf_counter()
        found = authored(where)
        compiled_settings(found.settings, columns_of(found.settings, found.table, where))
    except DaybookError:
        return {}
    load, whole = read - began, time.perf_counter() - read
    return {"load_ms": _ms(load), "validation_ms": _ms(max(whole - load, 0.0))}  # the files are read twice here


def _of_the_snapshot(where: Place) -> dict[str, Any]:
    try:
        pointer = compiled_files(where).pointer()
        if pointer is None:
            return _NO_SNAPSHOT
        began = time.perf_counter()
        found = compiled_files(where).open(pointer.snapshot)
        opened = time.perf_counter() - began
    except DaybookError:
        return _NO_SNAPSHOT
    size = snapshot_bytes(where, found)
    return {"snapshot": pointer.snapshot, "snapshot_bytes": size, "symbols": len(found), "open_ms": _ms(opened)}


def snapshot_bytes(where: Place, found: Snapshot) -> int:
    """Size of a snapshot's file; 0 where it has none."""
    try:
        return (where.home / FOLDER / "snapshots" / f"{found.content_hash}.snapshot").stat().st_size
    except OSError:
        return 0


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


# --- what a watcher saw -----------------------------------------------------------------------------------------------
class WatchedFile:
    """An observer of a watcher that keeps what it saw last in a file of the home, for `status` in another process: the
    last look, the last refusal, the version it is at, how often it took another, the most memory it had, and the
    breaker."""

    def __init__(self, where: Place, clock: Callable[[], datetime] = utc_now) -> None:
        self._file, self._clock = where.home / FOLDER / WATCHED, clock
        self._seen: dict[str, Any] = {
            "process": os.getpid(), "breaker": "closed", "looked_at": None, "outcome": None, "refusals": 0,
            "reloads": 0, "memory_mb": None, "last_refusal": _last_refusal(self._file), "watched_version": None,
        }  # fmt: skip
        self._write()

    def examined(self, found: Examined) -> None:
        """Files were looked at."""
        at = self._clock().isoformat()
        self._seen |= {"looked_at": at, "outcome": found.outcome}
        if found.outcome == "refused":
            self._seen["refusals"] += 1
            self._seen["last_refusal"] = {"at": at, "said": list(found.said[:SHOWN]), "faults": len(found.said)}
        self._write()

    def took(self, version: Version) -> None:
        """Another version was swapped in."""
        self._seen |= {"watched_version": version.number, "reloads": self._seen["reloads"] + 1}
        self._write()

    def breaker(self, state: str) -> None:
        """The breaker's state now."""
        self._seen["breaker"] = state
        self._write()

    def _write(self) -> None:
        """Replaced as a whole. Not waited for until it is on the disk: it is of no use after a power cut."""
        self._seen["memory_mb"] = round(getrusage(RUSAGE_SELF).ru_maxrss / 1024, 1)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        draft.write_text(json.dumps(self._seen), encoding="utf-8")
        draft.replace(self._file)


def watched(where: Place) -> dict[str, Any]:
    """What a watcher of this home saw last; that none watches where its process is gone."""
    seen = _read(where.home / FOLDER / WATCHED)
    alive = isinstance(seen.get("process"), int) and _is_alive(seen["process"])
    names = ("looked_at", "outcome", "reloads", "refusals", "last_refusal", "watched_version", "memory_mb")
    if seen.get("outcome") in ("same", "applied", "drift"):  # files are right again
        seen = {**seen, "last_refusal": None}
    return {
        "watcher": f"process {seen['process']}" if alive else "none",
        "breaker": seen.get("breaker") if alive else None,
        **{name: seen.get(name) for name in names},
    }


def _last_refusal(file: Path) -> Any:
    return _read(file).get("last_refusal")


def _read(file: Path) -> dict[str, Any]:
    """What is kept; nothing where it cannot be read: it is kept for people only."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
