"""The sensor that starts what a changed configuration affects, and nothing else.

Belongs here: noticing that another configuration is in force, and asking for runs. Does not belong here: which assets
read which setting (`configuration_effects.py`), or what is in force (`pipelines/configuration.py`).

Prices, measures and signals of the newest session, and backtests, are made again. The book is not: a change never
trades, values or signs anything by itself, the next close does. Outside of development a signed session stands as it
was signed, too. The cursor keeps a hash of every setting, so that two configurations are told apart without reading the
older one.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import NamedTuple

import dagster as dg

from assets.partitions import SESSIONS
from checks import CHECKS
from pipelines.configuration_effects import BACKTESTS, MADE_BY, affected, changed, effect, judged, parts
from pipelines.in_force import CONFIGURATION_TAG
from pipelines.jobs import BACKTEST, CALCULATED, RECALCULATE
from pipelines.jobs import BACKTESTS as BACKTESTS_BY_STRATEGY
from trading.config.drift import Named
from trading.config.models import DeskSettings
from trading.errors import ConfigError, DatasetNotFound
from trading.frames import DAILY_PRICES
from trading.ports import Configurations, FrameStore, Ledger

CHANGED_TAG = "daybook/configuration_changed"
LONGEST_TAG = 200
NAMED = 5  # settings that a sentence names


@dataclass(frozen=True, slots=True)
class Seen:
    """The configuration that was in force at the last tick: its hash, its number if it has one, how many changes were
    seen so far, and a short hash of each part."""

    configuration: str
    number: int | None
    changes: int
    parts: Mapping[str, str]

    def text(self) -> str:
        """As a cursor."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def read(cls, cursor: str | None) -> "Seen | None":
        """Out of a cursor; None at first sight, and where it is of another version of Daybook."""
        try:
            return cls(**json.loads(cursor or ""))
        except (ValueError, TypeError):
            return None


class Change(NamedTuple):
    """A change that was noticed: what was in force at the last tick, what is now, and the settings that differ."""

    before: Seen
    now: Seen
    parts: Sequence[str]

    def text(self) -> str:
        """The change in a sentence."""
        was, named = (Named(seen.configuration, seen.number) for seen in (self.before, self.now))
        more = len(self.parts) - NAMED
        listed = ", ".join(self.parts[:NAMED]) + (f" and {more} more" if more > 0 else "")
        return f"configuration {named} is in force after {was}; changed: {listed or 'nothing that has a value'}."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a change asks for: assets of the newest session, datasets to be judged anew, backtests; assets that are left
    to whoever makes them; and backtests of strategies whose files came after Dagster loaded the code."""

    assets: tuple[dg.AssetKey, ...]
    judged: tuple[str, ...]
    backtests: tuple[str, ...]
    left: tuple[str, ...]
    unknown: tuple[str, ...]


def wanted(parts_changed: Sequence[str], traded: Iterable[str]) -> Wanted:
    """What these parts affect."""
    names = affected(parts_changed, traded)
    backtests = [name for name in names if name.startswith(f"{BACKTESTS}/")]
    known = {f"{BACKTESTS}/{name}" for name in BACKTESTS_BY_STRATEGY}
    calculated = {key.to_user_string() for asset in CALCULATED for key in asset.keys}
    return Wanted(
        assets=with_downstream([name for name in names if name in calculated]),
        judged=judged(parts_changed),
        backtests=tuple(name for name in backtests if name in known),
        left=tuple(name for name in names if name in MADE_BY),
        unknown=tuple(name for name in backtests if name not in known),
    )


def with_downstream(names: Sequence[str]) -> tuple[dg.AssetKey, ...]:
    """Assets and all that is calculated from them, whole steps only, by name; none of none."""
    if not names:
        return ()
    keys = dg.AssetSelection.assets(*names).downstream().resolve(CALCULATED)
    whole = {key for asset in CALCULATED if not keys.isdisjoint(asset.keys) for key in asset.keys}
    return tuple(sorted(whole))


def checks_of(datasets: Iterable[dg.AssetKey]) -> list[dg.AssetCheckKey]:
    """The checks of these datasets that the close runs too."""
    asked = set(datasets)
    return sorted(key for check in CHECKS for key in check.check_keys if key.asset_key in asked)


def newest_session(frames: FrameStore) -> date | None:
    """The newest session with prices; None where there are none, or the desk's sessions do not know it."""
    try:
        found = frames.latest(DAILY_PRICES, through=date.max)["session"].to_pylist()
    except DatasetNotFound:
        return None
    newest = max(found, default=None)
    return newest if newest is not None and SESSIONS.has_partition_key(newest.isoformat()) else None


@dg.sensor(
    jobs=[RECALCULATE, BACKTEST],
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="When another configuration comes into force, makes again what it affects: prices, measures and "
    "signals of the newest session, and backtests. The book is the close's.",
)
def configuration_changed(
    context: dg.SensorEvaluationContext,
    configuration: dg.ResourceParam[Configurations],
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
) -> list[dg.RunRequest] | dg.SkipReason:
    """Runs for the parts that changed since the last tick."""
    try:
        found = configuration.in_force()
    except ConfigError as cause:
        return dg.SkipReason(f"the configuration in force cannot be read, so nothing is started: {cause}")
    if found is None:
        return dg.SkipReason("no configuration is in force yet. Put one in force: daybook config apply --reason '...'")
    named, settings = found
    before = Seen.read(context.cursor)
    now = Seen(named.configuration, named.number, before.changes + 1 if before else 0, parts(settings))
    if before is None:
        context.update_cursor(now.text())
        return dg.SkipReason(f"configuration {named} is in force; its changes are acted on from now on.")
    if before.configuration == now.configuration:
        return dg.SkipReason(f"configuration {named} is still in force.")
    context.update_cursor(now.text())
    change = Change(before, now, changed(before.parts, now.parts))
    runs, reasons = asked(change, settings, frames, ledger)
    said = " ".join([change.text(), *reasons])
    context.log.info(said)
    return runs or dg.SkipReason(said)


# --- what is asked for ------------------------------------------------------------------------------------------------
def asked(
    change: Change, settings: DeskSettings, frames: FrameStore, ledger: Ledger
) -> tuple[list[dg.RunRequest], list[str]]:
    """The runs that a change asks for, and sentences on what is affected and not in them."""
    found = wanted(change.parts, settings.trading.strategies)
    runs, reasons = [], [*_left(found), *_without_effect(change.parts)]
    if found.assets or found.judged:
        session = newest_session(frames)
        stands = _stands(session, settings, ledger)
        if session is None or stands:
            reasons.append(stands)
        else:
            runs.append(_recalculated(found, session, change))
    if found.backtests:
        keys = [dg.AssetKey(name.split("/")) for name in found.backtests]
        runs.append(_request(dg.RunRequest(job_name=BACKTEST.name, asset_selection=keys), "backtest", change))
    return runs, reasons


def _stands(session: date | None, settings: DeskSettings, ledger: Ledger) -> str:
    """Why the newest session is not made again; empty where it is."""
    if session is None:
        return "No session has prices yet, so there is nothing to make again."
    if settings.environment == "development" or not ledger.rows("signatures", {"session": session.isoformat()}):
        return ""
    return (
        f"{session} is signed and stands as it was signed; the next close uses the new configuration. To have it made "
        f"again all the same: daybook close --restate --session {session}"
    )


def _recalculated(found: Wanted, session: date, change: Change) -> dg.RunRequest:
    """Steps and checks of one session."""
    checks = checks_of([*found.assets, *map(dg.AssetKey, found.judged)])
    run = dg.RunRequest(
        job_name=RECALCULATE.name,
        partition_key=session.isoformat(),
        asset_selection=list(found.assets),
        asset_check_keys=checks,
    )
    return _request(run, session.isoformat(), change)


def _request(run: dg.RunRequest, what: str, change: Change) -> dg.RunRequest:
    """The run, named by the configuration it is for. The key counts changes: a configuration that comes back starts
    what it affects once more, and a tick that is repeated does not."""
    said, now = ", ".join(change.parts), change.now
    return run.with_replaced_attrs(
        run_key=f"{now.changes}:{now.configuration[:12]}:{what}",
        tags={
            CONFIGURATION_TAG: now.configuration,
            CHANGED_TAG: said if len(said) <= LONGEST_TAG else f"{said[: LONGEST_TAG - 3]}...",
        },
    )


def _left(found: Wanted) -> Iterator[str]:
    """Who makes what is affected and not started."""
    by_maker: dict[str, list[str]] = {}
    for name in found.left:
        by_maker.setdefault(MADE_BY[name], []).append(name)
    yield from (f"Left to {maker}: {', '.join(names)}." for maker, names in by_maker.items())
    if found.unknown:
        names = ", ".join(found.unknown)
        yield f"Not known to Dagster yet: {names}. Reload the code location after adding a strategy file."


def _without_effect(which: Iterable[str]) -> Iterator[str]:
    """Settings that affect nothing, and why."""
    nothing = [path for path in which if not (effect(path).assets or effect(path).judged)]
    yield from (f"{path} starts nothing: {effect(path).because}." for path in nothing[:NAMED])
