"""Which snapshots to keep. Does not belong here: deleting the others (`resources/snapshots.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading.continuity.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Retention:
    """How many snapshots to keep: the newest ones, and the last one of each of the most recent days, weeks, months
    that have any. All snapshots younger than `recent` are kept whatever the counts say."""

    newest: int = 3
    days: int = 14
    weeks: int = 8
    months: int = 24
    recent: timedelta = timedelta(hours=24)


def retained(manifests: Iterable[Manifest], policy: Retention, now: datetime) -> tuple[Manifest, ...]:
    """The snapshots to keep, oldest first. The newest one is always among them."""
    ordered = sorted(manifests, key=lambda manifest: (manifest.created_at, manifest.name), reverse=True)
    kept = {manifest.name for manifest in ordered[: max(1, policy.newest)]}
    kept |= {manifest.name for manifest in ordered if now - manifest.created_at < policy.recent}
    for count, period in ((policy.days, _day), (policy.weeks, _week), (policy.months, _month)):
        kept |= _last_of_each(ordered, count, period)
    return tuple(manifest for manifest in reversed(ordered) if manifest.name in kept)


def _last_of_each(ordered: Sequence[Manifest], count: int, period: Callable[[datetime], object]) -> set[str]:
    """Names of the last snapshot of each of the `count` most recent periods; `ordered` is newest first."""
    last: dict[object, str] = {}
    for manifest in ordered:
        last.setdefault(period(manifest.created_at), manifest.name)
    return set(list(last.values())[:count])


def _day(at: datetime) -> object:
    return at.date()


def _week(at: datetime) -> object:
    return at.isocalendar()[:2]


def _month(at: datetime) -> object:
    return at.year, at.month
