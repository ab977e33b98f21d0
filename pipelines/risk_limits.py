"""The sensor that watches the limits between closes: it tells of what passes them, and halts where that is asked for.

Belongs here: when it looks, what it tells once, and which halts it sets. Does not belong here: measuring
(`trading/risk/`), reading (`assets/risk_inputs.py`), or the halts of people (`pipelines/risk_halts.py`).
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.risk_inputs import facts_version, risk_books, risk_facts
from trading.config.models import DeskSettings
from trading.frames import EQUITY
from trading.ports import FrameStore, Ledger, Notice, Notifier, ReferenceStore
from trading.risk.halts import Halt, halts_of, in_force, new_halt
from trading.risk.limit_table import rules

if TYPE_CHECKING:
    from trading.risk.decision import Judged

WHO = "risk_limits"  # who sets the sensor's halts
NOTHING_NEW = "nothing changed since the last look"


def standing_book(
    frames: FrameStore, ledger: Ledger, reference: ReferenceStore, desk: DeskSettings
) -> "tuple[date, tuple[Judged, ...]] | None":
    """The newest closed session, and what the book comes to under every rule since; None where none is closed."""
    session = newest_closed(frames)
    if session is None:
        return None
    from trading.risk.engine import RiskEngine  # which loads compiled loops

    book = risk_books(frames, ledger, desk, session).book(session)
    held = [(instrument, contract) for _, instrument, contract in (*book.positions, *book.opening)]
    market = risk_facts(frames, reference, desk, session, session).market(session, held)
    return session, RiskEngine(desk, market, book).standing()


def newest_closed(frames: FrameStore) -> date | None:
    """The newest session that the account was valued in."""
    if EQUITY.name not in frames.written():
        return None
    return max((row["session"] for row in frames.latest(EQUITY, through=date.max).to_pylist()), default=None)


def seen(frames: FrameStore, ledger: Ledger, reference: ReferenceStore, desk: DeskSettings) -> str:
    """What the book would be judged by now, as a hash: facts, the journal, profits and limits."""
    written = [str(found[-1].number) for found in [frames.versions(EQUITY)] if found]
    said = [facts_version(frames, reference, desk), str(ledger.sequence()), *written, desk.content_hash()]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


# --- telling ----------------------------------------------------------------------------------------------------------
def tell(
    session: date, found: "Sequence[Judged]", told: Sequence[str], notifier: Notifier, capital_base: float
) -> list[str]:
    """Notifies of what passes a level and was not told yet; returns the keys of all told ones. One of a session is one
    notice; one that the notifier did not take is tried again."""
    keys = {_key(session, each): each for each in found}
    return sorted(
        key for key, each in keys.items() if key in told or notifier.notify(_notice(session, each, capital_base))
    )


def _key(session: date, found: "Judged") -> str:
    what = f"unmeasured {found.outcome}" if math.isnan(found.value) else found.outcome  # either is news of its own
    return f"{session}:{found.rule}:{found.axis}:{found.element}:{what}"


def _notice(session: date, found: "Judged", capital_base: float) -> Notice:
    from trading.risk.wording import sentence

    rule = next(rule for rule in rules() if rule.name == found.rule)
    unknown = math.isnan(found.value)
    facts: dict[str, str] = {
        "session": str(session), "rule": found.rule, "item": found.element,
        "value": "not measured" if unknown else f"{found.value:.6g}", "limit": f"{found.limit:.6g}",
    }  # fmt: skip
    passed = "Risk limit passed" if found.outcome == "refuse" else "Risk limit near"
    passed = "Risk limit cannot be measured" if unknown else passed
    level = "error" if found.outcome == "refuse" else "warning"
    return Notice(level, f"{passed}: {found.rule} of {found.element}", sentence(rule, found, capital_base), facts)


# --- halting ----------------------------------------------------------------------------------------------------------
def halts_for(
    found: "Sequence[Judged]", told: Sequence[str], session: date, desk: DeskSettings, ledger: Ledger, now: datetime
) -> list[Halt]:
    """Halts of all but reducing orders, for what newly passes a limit of a rule of `risk.decisions.halt_on`: of the
    strategy or instrument that it was measured of, else of everything. What cannot be measured halts as what is passed
    does, unless the limit says `missing = "warn"`. None where one such is in force; one that was resumed is not set
    again for the same session."""
    standing = {(halt.scope, halt.item) for halt in in_force(halts_of(ledger.rows("halts")), now)}
    made: dict[tuple[str, str], Halt] = {}
    for each in found:
        if each.outcome != "refuse" or each.rule not in desk.risk.decisions.halt_on or _key(session, each) in told:
            continue
        scope = _scope(each)
        if scope not in standing:
            made.setdefault(scope, new_halt(*scope, "reduce_only", WHO, _why(each), now))
    return list(made.values())


def _why(found: "Judged") -> str:
    if math.isnan(found.value):
        return f"{found.rule} of {found.element} cannot be measured, so nobody knows whether it is within its limit"
    return f"{found.rule} of {found.element} is {found.value:.6g}, past its limit of {found.limit:.6g}"


def _scope(found: "Judged") -> tuple[str, str]:
    of: Mapping[str, tuple[str, str]] = {
        "strategy": ("strategy", found.element),
        "instrument": ("instrument", found.element),
        "contract": ("instrument", found.element.partition("/")[0]),
        "holding": ("instrument", found.element.partition("/")[2]),
    }
    return of.get(found.axis, ("everything", ""))


@dg.sensor(
    description="Watches the limits on the book as it stands, notifies once of each that is passed, and halts on some.",
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def risk_limits(
    context: dg.SensorEvaluationContext,
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    notifier: dg.ResourceParam[Notifier],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> dg.SkipReason:
    """Starts no run: it only tells, and halts."""
    if newest_closed(frames) is None:
        return dg.SkipReason("no session is closed yet")
    cursor = _cursor(context.cursor)
    now_seen = seen(frames, ledger, reference, desk)
    if now_seen == cursor["seen"]:
        return dg.SkipReason(NOTHING_NEW)
    standing = standing_book(frames, ledger, reference, desk)
    if standing is None:
        return dg.SkipReason("no session is closed yet")
    session, rows = standing
    found = [each for each in rows if each.outcome != "pass"]
    halts = halts_for(found, cursor["told"], session, desk, ledger, clock())
    ledger.record([halt.set_event(session) for halt in halts])
    told = tell(session, found, cursor["told"], notifier, desk.capital.capital_base)
    all_told = len(told) == len({_key(session, each) for each in found})
    context.update_cursor(json.dumps({"told": told, "seen": now_seen if all_told and not halts else ""}))
    return dg.SkipReason(f"{session}: {len(found)} levels passed, {len(told)} told, {len(halts)} halts set")


def _cursor(text: str | None) -> dict[str, Any]:
    known = json.loads(text) if text else {}
    return known if isinstance(known, dict) and known else {"told": [], "seen": ""}
