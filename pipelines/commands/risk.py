"""`daybook risk`: the limits of the whole book, asked and changed from the shell.

Belongs here: what people type for it, and how answers are printed. Does not belong here: judging orders
(`trading/risk/engine.py`), or the service (`pipelines/risk_server/`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pipelines.answers import Answer, answering
from pipelines.options import DAY, date_of
from pipelines.settings import Place, refuse_no_desk
from pipelines.tables import show, show_pairs
from trading.errors import UsageError

_SESSION = click.option("--session", type=DAY, help="As of which session; without it, the newest with prices.")
_RULE = click.option("--rule", help="Only of this rule.")
_INSTRUMENT = click.option("--instrument", metavar="CODE", help="Only what concerns this instrument.")
_STRATEGY = click.option("--strategy", help="Only what concerns this strategy.")
_BY = click.option("--by", help="Who says so; without it, who is logged in.")
_REASON = click.option("--reason", help="Why: it stands in the journal.")
_FEW = 60  # rows that people are shown


@click.group()
def risk() -> None:
    """Ask about orders before they are sent, and see what limits leave."""


# --- asking -----------------------------------------------------------------------------------------------------------
@risk.command(name="check")
@click.option("--strategy", required=True, help="Whose order.")
@click.option("--instrument", required=True, metavar="CODE", help="Of what.")
@click.option("--quantity", type=float, required=True, help="Whole contracts; sold is negative.")
@click.option("--contract", type=int, default=0, help="Contract id, like 20270300; without it, the one to hold now.")
@click.option("--price", type=float, help="Its limit price, points; without it, it is at market.")
@_SESSION
@answering
def check(
    where: Place, strategy: str, instrument: str, quantity: float, contract: int, price: float | None, session: Any
) -> Answer:
    """What would become of an order, by every rule; it is not placed, and nothing is held for it.

    Exit code 0 where it may be sent (warnings included), 1 where it is refused, 2 where it is no order that could be
    judged: an unknown name, or a quantity that is none.
    """
    from pipelines import risk_orders
    from trading.risk.decision import Asked

    refuse_no_desk(where)
    found = risk_orders.check(where, Asked(strategy, instrument, contract, quantity, price), date_of(session))
    return Answer(found, lambda: _show_decision(found), found["exit_code"])


def _show_decision(found: Mapping[str, Any]) -> None:
    said = {"pass": "may be sent", "warn": "may be sent, with a warning", "refuse": "REFUSED"}[found["decision"]]
    quantity, contract = found["quantity_contracts"], found["contract"] or "?"
    size = "a quantity that is no number" if quantity is None else f"{quantity:+,.10g}"
    show(f"{said}: {size} {found['instrument']}/{contract} for {found['strategy']}, as of {found['session']}")
    for reason in found["reasons"]:
        show(f"- {reason['message']}")
    if found["meant"]:
        show(found["meant"])
    rows = [row for row in found["rules"] if row["limit"] is not None or row["warn"] is not None]
    _show_lines("rules with a limit", [_measured(row) for row in rows])
    hidden = len(found["rules"]) - len(rows)
    if hidden:
        show(f"{hidden} values without a limit are not shown; --json gives all")


def _measured(row: Mapping[str, Any]) -> str:
    """A value on one line: what came of it, the rule, what it is of, the value against its limit and what is left."""
    of = f"{row['rule']} of {_of(row.get('axis', row.get('by')), row['element'])}"
    value = "not measured" if row["value"] is None else _number(row["value"])
    limit = "" if row["limit"] is None else f" of {_number(row['limit'])}"
    warn = "" if row["warn"] is None else f" (warns above {_number(row['warn'])})"
    left = "" if row["headroom"] is None else f", {_number(row['headroom'])} left"
    return f"{row.get('outcome', row.get('state')):<6}  {of}: {value}{limit}{_unit(row)}{warn}{left}"


def _of(axis: str | None, element: str) -> str:
    return "the book" if axis == "portfolio" else f"{str(axis).replace('_', ' ')} {element}"


def _unit(row: Mapping[str, Any]) -> str:
    return f" {row['unit']}" if row["unit"] else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"


def _show_lines(title: str, lines: Sequence[str]) -> None:
    show(f"{title}:" if lines else f"{title}: none")
    for line in lines[:_FEW]:
        show(line)
    if len(lines) > _FEW:
        show(f"{len(lines) - _FEW:,} more not shown; --json gives all")


@risk.command(name="headroom")
@_SESSION
@_RULE
@_INSTRUMENT
@_STRATEGY
@click.option("--all", "every", is_flag=True, help="Values without a limit too.")
@answering
def headroom(where: Place, session: Any, every: bool, **wanted: str | None) -> Answer:
    """What the book as it stands leaves of every limit, orders at work included; the fullest first.

    Exit code 1 where a limit that refuses is passed.
    """
    from pipelines import risk_orders

    refuse_no_desk(where)
    found = risk_orders.headroom(where, date_of(session), **wanted, limited=not every)
    passed = any(row["state"] == "refuse" for row in found["rows"])
    title = f"headroom as of {found['session']}"
    return Answer(found, lambda: _show_lines(title, [_filled(row) for row in found["rows"]]), int(passed))


def _filled(row: Mapping[str, Any]) -> str:
    used = "" if row["used"] is None else f"{row['used']:.1%}"
    return f"{used:>7}  {_measured(row)}"


@risk.command(name="limits")
@_SESSION
@_RULE
@_INSTRUMENT
@_STRATEGY
@answering
def limits(where: Place, session: Any, **wanted: str | None) -> Answer:
    """Limits that are in force, for what, and which setting or entry each comes from. Those that are alike for all that
    a rule measures are one row for people; --json gives every one."""
    from pipelines import risk_orders

    refuse_no_desk(where)
    found = risk_orders.limits(where, date_of(session), **wanted)
    title = f"limits as of {found['session']}"
    return Answer(found, lambda: _show_limits(title, risk_orders.gathered(found["rows"]), found["notes"]))


def _show_limits(title: str, rows: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> None:
    _show_lines(title, [_level(row) for row in rows])
    for note in notes:
        show(f"note: {note}")


def _level(row: Mapping[str, Any]) -> str:
    levels = [("refuses", row["refuse"]), ("warns", row["warn"])]
    said = [f"{word} above {_number(value)}{_unit(row)}" for word, value in levels if value is not None]
    said += ["judges orders that only reduce"] if row["reducing"] == "judge" else []
    said += ["warns of what cannot be measured"] if row["missing"] == "warn" else []
    return f"{row['rule']} of {_of(row['by'], row['of'])}: {', '.join(said)}; from {row['from']}"


# --- halts ------------------------------------------------------------------------------------------------------------
@risk.command(name="halts")
@answering
def halts(where: Place) -> Answer:
    """What is stopped now, by whom and why; then what was."""
    from pipelines import risk_halts

    refuse_no_desk(where)
    found = risk_halts.halts(where)
    return Answer(found, lambda: _show_halts(found))


def _show_halts(found: Mapping[str, Any]) -> None:
    _show_lines("halts in force", [_halt(row) for row in found["in_force"]])
    _show_lines("halts that ended", [_halt(row) for row in found["past"]])


def _halt(row: Mapping[str, Any]) -> str:
    until = f" until {row['until']}" if row["until"] else ""
    over = f"; {row['resumed_by']} resumed {row['resumed']}: {row['resumed_because']}" if row["resumed"] else ""
    what = f"{row['stops']}, {row['mode']}, since {row['since']}{until}"
    return f"{row['id']}  {what}, by {row['by']}: {row['reason']}{over}"


@risk.command(name="halt")
@click.option("--everything", is_flag=True, help="Every order of the desk.")
@click.option("--strategy", help="Every order of this strategy.")
@click.option("--instrument", metavar="CODE", help="Every order of this instrument.")
@click.option(
    "--mode", type=click.Choice(["reduce_only", "close_only", "nothing"]), default="reduce_only", show_default=True,
    help="What still passes: orders that reduce a position, those that close it whole, or none.",
)  # fmt: skip
@click.option("--until", metavar="INSTANT", help="When it ends by itself, like 2027-03-01T08:00 (UTC).")
@_REASON
@_BY
@answering
def halt(
    where: Place, everything: bool, mode: str, until: str | None, reason: str | None, by: str | None,
    **items: str | None,
) -> Answer:  # fmt: skip
    """Stop everything, a strategy or an instrument, from the next order on, until somebody resumes."""
    from pipelines import risk_halts

    refuse_no_desk(where)
    given = {scope: item for scope, item in items.items() if item is not None} | (
        {"everything": ""} if everything else {}
    )
    if len(given) != 1:
        raise UsageError("say what is to be halted: one of --everything, --strategy and --instrument.")
    ((scope, item),) = given.items()
    found = risk_halts.halt(where, scope, item, mode, reason, by, risk_halts.instant(until))
    return Answer(found, lambda: show_pairs("Halted", found))


@risk.command(name="resume")
@click.argument("halt_id")
@click.option("--by", required=True, help="Who says so.")
@_REASON
@answering
def resume(where: Place, halt_id: str, by: str, reason: str | None) -> Answer:
    """End the halt HALT_ID (an id, or its beginning), under your name and with a reason."""
    from pipelines import risk_halts

    refuse_no_desk(where)
    found = risk_halts.resume(where, halt_id, reason, by)
    return Answer(found, lambda: show_pairs("Resumed", found))


# --- decisions --------------------------------------------------------------------------------------------------------
@risk.command(name="decisions")
@click.option("--since", type=DAY, help="Of sessions from this one on.")
@click.option("--until", type=DAY, help="Of sessions up to this one.")
@click.option("--strategy", help="Of this strategy.")
@click.option("--instrument", metavar="CODE", help="Of this instrument.")
@click.option("--outcome", type=click.Choice(["pass", "warn", "refuse"]), help="That came to this.")
@click.option("--reason", metavar="CODE", help="With this reason, like gross_exposure.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="How many.")
@answering
def decisions(where: Place, since: Any, until: Any, limit: int, **wanted: str | None) -> Answer:
    """Decisions on orders that were kept, the newest first: of closes, the order job, the service and `check`."""
    from pipelines import risk_decisions

    refuse_no_desk(where)
    found = risk_decisions.listed(where, (date_of(since), date_of(until)), limit, **wanted)
    return Answer(found, lambda: _show_decisions(found))


def _show_decisions(found: Mapping[str, Any]) -> None:
    _show_lines("decisions", [_decision(row) for row in found["rows"]])
    for torn in found["torn"]:
        show(f"note: {torn['lost_bytes']:,} bytes of {torn['where']} were never acknowledged, or are damaged")


def _decision(row: Mapping[str, Any]) -> str:
    at, why = row["at"][:19].replace("T", " "), ", ".join(reason["code"] for reason in row["reasons"])
    about = f"session {row['session']}, {row['action']} by {row['by'] or 'nobody named'}"
    return f"{at}  {row['decision']:<6}  {_order(row)} for {row['strategy']}, {about}{': ' if why else ''}{why}"


def _order(row: Mapping[str, Any]) -> str:
    return f"{row['quantity_contracts']:+,.10g} {row['instrument']}/{row['contract']}"


@risk.command(name="replay")
@click.option("--since", type=DAY, required=True, help="Decisions of sessions from this one on.")
@click.option("--until", type=DAY, help="Up to this one.")
@click.option(
    "--limits", "file", type=click.Path(path_type=Path), required=True,
    help="A file of settings: its risk.limits in place of those in force, all else of it over what is in force.",
)  # fmt: skip
@answering
def replay(where: Place, since: Any, until: Any, file: Path) -> Answer:
    """Which decisions other limits would have turned, and by which rule.

    Each is judged by itself, by the values it was made of: the book is as it was, though an order that is turned would
    have left another one behind.
    """
    from pipelines import risk_replay

    refuse_no_desk(where)
    found = risk_replay.replayed(where, (date_of(since), date_of(until)), file)
    return Answer(found, lambda: _show_replay(found))


def _show_replay(found: Mapping[str, Any]) -> None:
    _show_lines("decisions that turn", [_turned(row) for row in found["rows"]])
    show(f"{found['turned']:,} of {found['judged']:,} decisions turn. {found['note']}")


def _turned(row: Mapping[str, Any]) -> str:
    rolls = f" ({row['action']})" if row["action"].startswith("roll") else ""
    about = f"{row['session']}  {_order(row)} for {row['strategy']}{rolls}: {row['was']} becomes {row['becomes']}"
    about += "" if row["certain"] else ", which is not certain"
    return f"{about}. {'; '.join(row['because'])}"


# --- the service ------------------------------------------------------------------------------------------------------
@risk.command(name="serve")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer [risk.service.workers].")
@click.option("--port", type=click.IntRange(1, 65535), help="Where it listens [risk.service.port].")
@answering
def serve(where: Place, workers: int | None, port: int | None) -> Answer:
    """Answer about orders over HTTP, until it is ended: for strategies that trade between closes.

    Who may ask is in the settings, risk.service.tokens. A changed limit is in force as soon as it is applied.
    """
    from pipelines.risk_server import serving

    return Answer({}, exit_code=serving.serve(where, workers, port))
