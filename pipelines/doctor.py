"""Is every backend of this desk well, and what to do where one is not: `daybook doctor`.

Belongs here: one short examination a backend, through its port. Does not belong here: what a desk's data say
(`checks/`), or mending anything.

An examination leaves nothing behind, and one that fails hides no other. Nothing is made in a home that does not exist.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines import deployments
from pipelines.mishaps import explained
from pipelines.place import strange_variables
from pipelines.settings import Place, read_settings
from trading.errors import DaybookError
from trading.ports import Health

_LITTLE_MEGABYTES = 200.0
_PROBE = b"daybook doctor"
_AGAIN = "Do that, then ask again."


def examined(where: Place) -> dict[str, Any]:
    """Every backend by part: what it is, whether it is well, what was found, what to do. Exit code 1 where one is
    ill."""
    found = {part: _asked(check, where) for part, check in _checks(where)}
    rows = [
        {"part": part, "state": "well" if health.well else "ILL", "backend": health.backend, "found": health.detail,
         "do": health.cure}
        for part, health in found.items()
    ]  # fmt: skip
    ill = [part for part, health in found.items() if not health.well]
    return {"deployment": where.deployment, "home": str(where.home), "backends": rows, "ill": ill,
            "exit_code": 1 if ill else 0}  # fmt: skip


def _checks(where: Place) -> Iterator[tuple[str, Callable[[Place], Health]]]:
    """What is examined; where the settings are wrong, only what does not need them."""
    yield "settings", _settings
    yield from _ALWAYS.items()
    if _asked(_settings, where).well:
        yield from _BY_SETTINGS.items()


def _asked(check: Callable[[Place], Health], where: Place) -> Health:
    """What an examination found; one that stops is an illness, whose sentence says what to do."""
    part = check.__name__.strip("_")
    try:
        return check(where)
    except DaybookError as error:
        return Health(False, part, str(error), _AGAIN)
    except Exception as cause:
        return Health(False, part, str(explained(cause, where)), _AGAIN)


# --- what is examined -------------------------------------------------------------------------------------------------
def _settings(where: Place) -> Health:
    settings = read_settings(where)
    found = f"configuration {settings.content_hash()[:12]}"
    return Health(True, "toml", found, " ".join(strange_variables(settings)))


def _ledger(where: Place) -> Health:
    if not where.home.exists() and read_settings(where).data.storage.ledger.store == "sqlite":
        return Health(True, "sqlite", "none yet: the first run makes it")
    return deployments.ledger(where).health()


def _datasets(where: Place) -> Health:
    held = len(deployments.frame_store(where).written()) if (where.home / "frames").exists() else 0
    return _disk("delta", where.home, f"{held} datasets")


def _disk(backend: str, folder: Path, held: str) -> Health:
    """Whether a folder, or the nearest above it that exists, may be written and has room."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free / 1e6
    said = f"{held} in {folder}, {free:,.0f} MB free"
    if not os.access(there, os.W_OK):
        return Health(False, backend, f"{said}; it may not be written", f"Give this user write permission on {there}.")
    if free < _LITTLE_MEGABYTES:
        return Health(False, backend, said, f"Free some space: a close wants {_LITTLE_MEGABYTES:g} MB.")
    return Health(True, backend, said)


def _cache(where: Place) -> Health:
    shared = deployments.shared_cache(where)
    if shared is None:
        return Health(True, "process", "in this process")
    shared.set("doctor", _PROBE, age_s=10)
    well = shared.get("doctor") == _PROBE
    shared.delete("doctor")
    if well:
        return Health(True, "redis", "keeps and gives back")
    return Health(False, "redis", "does not answer; runs go on without it, slower", "Start it, or correct REDIS_URL.")


def _reference(where: Place) -> Health:
    known = deployments.reference(where).instruments(deployments.utc_now().date())
    if known:
        return Health(True, "csv", f"{len(known)} instruments")
    return Health(False, "csv", "no instruments", "Run `daybook load`, or add rows to reference/instruments.csv.")


def _vendor(where: Place) -> Health:
    vendor = deployments.vendor_of(where, read_settings(where), deployments.reference(where))
    codes = vendor.instruments()
    if codes:
        return Health(True, vendor.name, f"{len(codes)} instruments")
    cure = "Correct data.vendor.source, or run `daybook load --source`."
    return Health(False, vendor.name, "has no instruments", cure)


def _broker(where: Place) -> Health:
    stores = deployments.frame_store(where), deployments.reference(where)
    broker = deployments.broker_of(where, read_settings(where), *stores)
    statement = broker.statement(deployments.utc_now().date()) if where.home.exists() else None
    return Health(True, broker.name, "answers" if statement else "answers; no statement for today (yet)")


def _blobs(where: Place) -> Health:
    if where.home.exists():
        blobs = deployments.blob_store(where)
        digest = blobs.put(_PROBE)
        blobs.get(digest)
        blobs.delete(digest)
    return _disk("disk", where.home / "blobs", "blobs")


def _backups(where: Place) -> Health:
    taken = deployments.snapshots(where).snapshots()
    if not taken:
        return Health(True, "disk", f"no snapshot in {where.backups}", "Run `daybook backup` after the close.")
    age_days = (deployments.utc_now() - taken[-1].created_at).days
    found = _disk("disk", where.backups, f"{len(taken)} snapshots, the newest {age_days} days old,")
    same_disk = where.home.exists() and where.home.stat().st_dev == where.backups.stat().st_dev
    if found.well and same_disk:
        return Health(True, "disk", found.detail, "They lie on the home's own disk: set DAYBOOK_BACKUPS to another.")
    return found


_ALWAYS: Mapping[str, Callable[[Place], Health]] = {
    "datasets": _datasets, "cache": _cache, "reference": _reference, "blobs": _blobs, "backups": _backups,
}  # fmt: skip
_BY_SETTINGS: Mapping[str, Callable[[Place], Health]] = {"ledger": _ledger, "vendor": _vendor, "broker": _broker}
