"""`daybook risk check`, `headroom`, `limits`: what would become of an order, and what limits there are and leave.

Belongs here: asking the engine of a desk, and answers as plain values. Does not belong here: the desk's engine
(`risk_desk.py`), or decisions that were kept (`risk_decisions.py`).
"""

from __future__ import annotations

import getpass
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from pipelines.risk_desk import RiskDesk, risk_desk
from pipelines.settings import Place
from pipelines.wiring import decision_log
from trading.config.risk import RiskLimit
from trading.config.symbol_fields import near
from trading.errors import UsageError
from trading.risk.decision import WORST, Asked, Decision, Judged
from trading.risk.halts import in_force as halts_in_force
from trading.risk.kept import About
from trading.risk.limit_table import (
    ATTRIBUTES,
    ROLLING,
    Axes,
    LimitTable,
    Slot,
    axes_of,
    entries_of,
    idle,
    in_force,
    limit_table,
    rules,
)

NOW_S = 3600.0  # long after orders at work were adopted: they are not of the last minute
BAD_INPUT = ("unknown_", "quantity_", "price_not_")  # codes of orders that cannot be meant


def check(where: Place, asked: Asked, session: date | None = None) -> dict[str, Any]:
    """What would become of an order, as `Decision.document` says it, and the session it was judged in. Nothing is held
    for it; the answer is kept as others are. A contract of 0 is the one to hold now."""
    desk = risk_desk(where, session)
    if not asked.contract:
        asked = asked._replace(contract=desk.held.get(asked.instrument, 0))
    decision = desk.engine().check(asked, NOW_S)
    log = decision_log(where, desk.session)
    log.append([decision], About(desk.at, desk.session, "check", by=getpass.getuser()))
    log.close()
    return {
        "session": str(desk.session),
        **decision.document(),
        "meant": meant(decision, desk),
        "exit_code": code_of(decision),
    }


def code_of(decision: Decision) -> int:
    """0 where it may be sent, 2 where it is no order that could be judged, else 1."""
    bad = any(reason.code.startswith(BAD_INPUT) for reason in decision.reasons)
    return 2 if bad else 0 if decision.passed else 1


def meant(decision: Decision, desk: RiskDesk) -> str | None:
    """What an unknown name may have been meant for, and which halts stop the order."""
    asked, codes = decision.asked, {reason.code for reason in decision.reasons}
    if "unknown_strategy" in codes:
        known = ", ".join(desk.book.strategies) or "none"
        return near(asked.strategy, desk.book.strategies).strip() or f"Strategies are: {known}."
    if "unknown_instrument" in codes:
        return near(asked.instrument, desk.market.instruments).strip() or None
    if "unknown_contract" in codes:
        priced = [str(contract) for code, contract in desk.market.contracts if code == asked.instrument]
        return f"Contracts with a price are: {', '.join(priced)}."
    return " ".join(_halted(asked, desk)) or None if "halt" in codes else None


def _halted(asked: Asked, desk: RiskDesk) -> Iterator[str]:
    for halt in halts_in_force(desk.halts, desk.at):
        if halt.item in ("", {"strategy": asked.strategy, "instrument": asked.instrument}.get(halt.scope)):
            until = f", until {halt.until:%Y-%m-%d %H:%M} UTC" if halt.until else ""
            what = f"{halt.scope} {halt.item}".rstrip()
            yield f"Halt {halt.halt_id} of {what} ({halt.mode}) by {halt.who}{until}: {halt.why}."


# --- what the book comes to -------------------------------------------------------------------------------------------
def headroom(
    where: Place, session: date | None = None, rule: str | None = None, instrument: str | None = None,
    strategy: str | None = None, limited: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """The book as it stands, orders at work included, by rule and element: what passes a limit, then the fullest.
    `limited`: only what has a limit."""
    _refuse_unknown_rule(rule)
    desk = risk_desk(where, session)
    axes = axes_of(desk.market, desk.book.strategies)
    wanted = _wanted(axes, rule, instrument, strategy)
    rows = [_standing(row) for row in desk.engine().standing(NOW_S)
            if wanted(row.rule, row.axis, row.element) and (not limited or _has_limit(row))]  # fmt: skip
    rows.sort(key=lambda row: (-WORST[row["state"]], 0.0 if row["used"] is None else -row["used"]))
    passed = [row for row in rows if row["state"] != "pass"]
    return {"session": str(desk.session), "count": len(rows), "passed": len(passed), "rows": rows}


def _has_limit(row: Judged) -> bool:
    return math.isfinite(row.limit) or math.isfinite(row.warn)


def _standing(row: Judged) -> dict[str, Any]:
    level = row.limit if math.isfinite(row.limit) else row.warn
    used = row.value / level if level > 0.0 else math.inf if row.value > 0.0 else 0.0
    used = used if math.isfinite(level) else math.nan
    return {
        "rule": row.rule, "by": row.axis, "element": row.element, "state": row.outcome, "value": _finite(row.value),
        "warn": _finite(row.warn), "limit": _finite(row.limit), "headroom": _finite(row.headroom),
        "used": _finite(used), "unit": row.unit,
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# --- limits -----------------------------------------------------------------------------------------------------------
def limits(
    where: Place, session: date | None = None, rule: str | None = None, instrument: str | None = None,
    strategy: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Every level that is in force, by rule and element, and where it comes from: an entry of `risk.limits` (counted
    from 1), a setting, or the rule itself. `notes`: entries that hold for nothing."""
    _refuse_unknown_rule(rule)
    desk = risk_desk(where, session)
    table = limit_table(desk.settings, desk.market, desk.book.strategies)
    axes = axes_of(desk.market, desk.book.strategies)
    wanted = _wanted(axes, rule, instrument, strategy)
    entries = in_force(desk.settings.risk.limits, desk.session)
    rows = [row for slot in table.slots for row in _levels(slot, table, axes, entries)
            if wanted(row["rule"], row["by"], row["element"])]  # fmt: skip
    notes = idle(desk.settings, desk.market, desk.book.strategies)
    return {
        "session": str(desk.session), "configuration": table.configuration, "count": len(rows), "rows": rows,
        "notes": notes,
    }  # fmt: skip


def _levels(
    slot: Slot, table: LimitTable, axes: Axes, entries: list[tuple[int, RiskLimit]]
) -> Iterator[dict[str, Any]]:
    at = slice(slot.first, slot.first + slot.count)
    refuse, warn = table.refuse[at], table.warn[at]
    shown = np.flatnonzero(np.isfinite(refuse) | np.isfinite(warn))
    origins = _origins(slot, axes, entries) if len(shown) else {}
    for place in shown.tolist():
        sources = [str(each[place]) for each in origins.values() if each[place]]
        yield {
            "rule": slot.rule.name, "by": slot.axis, "element": axes.names[slot.axis][place],
            "refuse": _finite(float(refuse[place])), "warn": _finite(float(warn[place])), "unit": slot.rule.unit,
            "reducing": "judge" if table.judges[at][place] else "pass",
            "missing": "warn" if table.lenient[at][place] else "refuse",
            "rolling": ROLLING[table.rolling[at][place]],
            "from": " and ".join(dict.fromkeys(sources)),
        }  # fmt: skip


def _origins(slot: Slot, axes: Axes, entries: list[tuple[int, RiskLimit]]) -> dict[str, Any]:
    """What sets the level of each element, by name of the level."""
    rule = slot.rule
    default = rule.setting if rule.setting else "the rule" if rule.limit is not None else ""
    found = {"refuse": np.full(slot.count, default, dtype=object), "warn": np.full(slot.count, "", dtype=object)}
    for number, entry, named in entries_of(slot, entries, axes):
        whose = f"risk.limits entry {number + 1}{f' of {entry.owner}' if entry.owner else ''}"
        for name, level in (("refuse", entry.refuse), ("warn", entry.warn)):
            if level is not None:
                found[name][named] = whose
    return found


def gathered(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `limits` for people: those of a rule that say the same are one, `of` how many."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    for row in rows:
        said = tuple(value for name, value in row.items() if name != "element")
        alike.setdefault(said, []).append(row["element"])
    names = [name for name in rows[0] if name != "element"] if rows else []
    return [_gathered(dict(zip(names, said, strict=True)), elements) for said, elements in alike.items()]


def _gathered(said: dict[str, Any], elements: list[str]) -> dict[str, Any]:
    return said | {"of": elements[0] if len(elements) == 1 else f"({len(elements):,} alike)"}


# --- which ------------------------------------------------------------------------------------------------------------
def _refuse_unknown_rule(rule: str | None) -> None:
    known = [each.name for each in rules()]
    if rule is not None and rule not in known:
        raise UsageError(f"there is no rule {rule}.{near(rule, known)} docs/reference/risk-engine.md lists them.")


def _wanted(axes: Axes, rule: str | None, instrument: str | None, strategy: str | None) -> Any:
    """Says whether a rule's element is asked about: of an instrument, what concerns it, its groups and the book too."""
    _refuse_unknown_names(axes, instrument, strategy)
    named = {axis: _elements(axis, axes, instrument, strategy) for axis in axes.names}

    def wanted(of: str, axis: str, element: str) -> bool:
        return rule in (None, of) and element in named[axis]

    return wanted


def _elements(axis: str, axes: Axes, instrument: str | None, strategy: str | None) -> set[str]:
    names = np.array(axes.names[axis], dtype=object)
    held, attributes = np.ones(len(names), dtype=np.bool_), axes.attributes[axis]
    if strategy is not None and "strategy" in ATTRIBUTES[axis]:
        held &= attributes["strategy"] == strategy
    if instrument is not None and "instrument" in ATTRIBUTES[axis]:
        held &= attributes["instrument"] == instrument
    elif instrument is not None and axis in axes.attributes["instrument"]:
        of = axes.attributes["instrument"]
        held &= names == of[axis][list(axes.names["instrument"]).index(instrument)]
    return set(names[held])


def _refuse_unknown_names(axes: Axes, instrument: str | None, strategy: str | None) -> None:
    for kind, name in (("instrument", instrument), ("strategy", strategy)):
        if name is not None and name not in axes.names[kind]:
            raise UsageError(f"there is no {kind} {name} with prices or positions.{near(name, axes.names[kind])}")
