"""`daybook risk`: the limits of the whole book, asked and changed from the shell.

Belongs here: what people type for it, and how answers are printed. Does not belong here: judging orders
(`trading/risk/engine.py`), or the service (`pipelines/risk_service/`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pipelines.answers import Answer, answering
from pipelines.options import DAY, date_of
from pipelines.settings import Place, refuse_no_desk
from pipelines.tables import show, show_pairs, table
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
    if rows:
        show(table("rules with a limit", [_short(row) for row in rows]))
    hidden = len(found["rules"]) - len(rows)
    if hidden:
        show(f"{hidden} values without a limit are not shown; --json gives all")


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of values for people: what it is of in one column, numbers to six digits."""
    state = row.get("outcome", row.get("state"))
    found = {"rule": row["rule"], "of": f"{row.get('axis', row.get('by'))} {row['element']}", "state": state}
    numbers = {name: _number(row[name]) for name in ("value", "warn", "limit", "headroom", "used") if name in row}
    return {**found, **numbers, "unit": row["unit"]}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"


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
    return Answer(found, lambda: _show_rows(title, [_short(row) for row in found["rows"]]), int(passed))


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
    return Answer(found, lambda: _show_rows(title, risk_orders.gathered(found["rows"])))


def _show_rows(title: str, rows: Sequence[dict[str, Any]]) -> None:
    show(table(title, list(rows[:_FEW])) if rows else f"{title}: none")
    if len(rows) > _FEW:
        show(f"{len(rows) - _FEW:,} more not shown; --json gives all")


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
    for title, rows in (("halts in force", found["in_force"]), ("halts that ended", found["past"])):
        show(table(title, rows) if rows else f"{title}: none")


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
    rows = [
        {
            "at": row["at"][:19].replace("T", " "), "session": row["session"], "by": row["by"], "asked": row["action"],
            "decision": row["decision"], "strategy": row["strategy"], "order": _order(row),
            "reasons": ", ".join(reason["code"] for reason in row["reasons"]),
        }
        for row in found["rows"]
    ]  # fmt: skip
    _show_rows("decisions", rows)


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
    rows = [
        {"session": row["session"], "order": _order(row), "strategy": row["strategy"], "was": row["was"],
         "becomes": row["becomes"], "by": "\n".join(row["because"])}
        for row in found["rows"]
    ]  # fmt: skip
    _show_rows("decisions that turn", rows)
    show(f"{found['turned']:,} of {found['judged']:,} decisions turn. {found['note']}")


# --- the service ------------------------------------------------------------------------------------------------------
@risk.command(name="serve")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer [risk.service.workers].")
@click.option("--port", type=click.IntRange(1, 65535), help="Where it listens [risk.service.port].")
@answering
def serve(where: Place, workers: int | None, port: int | None) -> Answer:
    """Answer about orders over HTTP, until it is ended: for strategies that trade between closes.

    Who may ask is in the settings, risk.service.tokens. A changed limit is in force as soon as it is applied.
    """
    from pipelines.risk_service import serving

    return Answer({}, exit_code=serving.serve(where, workers, port))
