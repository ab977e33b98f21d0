"""Kept decisions judged again by other limits, worked by hand. Does not belong here: keeping or measuring them."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from trading.config.models import DeskSettings
from trading.market.instruments import Instrument
from trading.risk.decision import Asked, Judged, Outcome, Reason, Versions
from trading.risk.kept import About, Action, Kept
from trading.risk.replay import Levels, Turned, levels_of, turned

DAY = date(2024, 2, 23)
AT = datetime(2024, 2, 23, 22, tzinfo=UTC)
INSTRUMENTS = {
    code: Instrument(code, code, "CME", "USD", 1.0, 0.25, sort, sort, "US")
    for code, sort in (("US10", "bond"), ("GOLD", "metals"))
}
VERSIONS = Versions(1, "m", "c")


def row(
    value: float, outcome: Outcome = "pass", limit: float = math.inf, warn: float = math.inf,
    of: tuple[str, str, str] = ("gross_exposure", "asset_class", "bond"),
) -> Judged:  # fmt: skip
    return Judged(*of, value, warn, limit, outcome, "times capital")


def kept(
    *rules: Judged, outcome: Outcome | None = None, reduces: bool = False, number: int = 1, call: int | None = None,
    reasons: tuple[Reason, ...] = (), session: date = DAY, instrument: str = "US10",
    no_worse: tuple[bool | None, ...] = (), action: Action = "check",
) -> Kept:  # fmt: skip
    worst: Outcome = outcome or max((each.outcome for each in rules), key=["pass", "warn", "refuse"].index)
    return Kept(
        "w", number, call or number, About(AT, session, action), Asked("trend", instrument, 202406, 3), worst,
        3 if worst != "refuse" else 0, reasons, rules, reduces, VERSIONS, 1.0, no_worse,
    )  # fmt: skip


def under(decisions: list[Kept], *limits: dict[str, Any]) -> dict[int, str]:
    """What decisions turn to under these limits, by number."""
    return {each.kept.number: each.becomes for each in all_under(decisions, *limits)}


def all_under(decisions: list[Kept], *limits: dict[str, Any]) -> list[Turned]:
    desk = DeskSettings.model_validate({"risk": {"limits": list(limits)}})

    def levels(session: date) -> Levels:
        return levels_of(desk, session, [each for each in decisions if each.about.session == session], INSTRUMENTS)

    return list(turned(decisions, levels))


def bond(**levels: Any) -> dict[str, Any]:
    return {"rule": "gross_exposure", "asset_class": "bond", **levels}


@pytest.mark.parametrize(("given", "limits", "expected"), [
    (row(1.5), bond(refuse=1.5), {}),  # at the limit is within it
    (row(1.5), bond(refuse=1.4), {1: "refuse"}),
    (row(1.5), bond(refuse=2.0, warn=1.4), {1: "warn"}),
    (row(1.5, "refuse", 1.0), bond(refuse=2.0), {1: "pass"}),
    (row(1.5, "refuse", 1.0), bond(refuse=2.0, warn=1.0), {1: "warn"}),
    (row(1.5, "refuse", 1.0), bond(refuse=1.2), {}),
    (row(1.5, "warn", 2.0, 1.0), bond(refuse=2.0), {1: "pass"}),
    (row(1.5), bond(refuse=1.0, asset_class="metals"), {}),  # another class's
    (row(1.5), bond(refuse=1.0, effective_from="2024-02-24"), {}),  # from the next day on
    (row(math.nan), bond(refuse=1.0), {}),  # nobody read what it needs: there was no limit
    (row(math.nan), bond(refuse=1.0, missing="warn"), {}),
    (row(math.nan, "warn", 1.0), bond(refuse=1.0), {1: "refuse"}),
    (row(math.nan, "refuse", 1.0), bond(refuse=1.0, missing="warn"), {1: "warn"}),
    (row(math.nan, "refuse", 1.0), bond(refuse=9.0), {}),
])  # fmt: skip
def test_a_value_against_another_limit(given: Judged, limits: dict[str, Any], expected: dict[int, str]) -> None:
    assert under([kept(given)], limits) == expected


def test_without_limits_only_what_settings_limit_refuses() -> None:
    """The portfolio's cap is 20 as shipped, which no limit of the file has to say."""
    whole = ("gross_exposure", "portfolio", "book")
    assert under([kept(row(1.5, "refuse", 1.0)), kept(row(21.0, of=whole), number=2)]) == {1: "pass", 2: "refuse"}


def test_what_did_not_make_a_value_larger_passes_any_limit() -> None:
    """It was above its limit and let through: so it would be by a lower one."""
    assert under([kept(row(1.5, "pass", 1.0))], bond(refuse=0.5)) == {}


def test_what_only_reduced_passes_unless_a_limit_judges_it() -> None:
    one = [kept(row(1.5), reduces=True)]
    assert under(one, bond(refuse=1.0)) == {}
    assert under(one, bond(refuse=1.0, reducing="judge")) == {1: "refuse"}


@pytest.mark.parametrize(("given", "expected"), [
    (kept(row(0.5, "pass", 1.0)), {}),  # within the new limit too
    (kept(row(0.8, "pass", 1.0)), {1: ("refuse", False)}),  # within the old one: nobody looked what it was before
    (kept(row(0.8, "pass", 1.0), no_worse=(None,)), {1: ("refuse", False)}),
    (kept(row(1.5, "pass", 1.0)), {}),  # beyond the old one, and let through: it was as large before
    (kept(row(1.5, "pass", 1.0), no_worse=(True,)), {}),
    (kept(row(0.8, "warn", 1.0, 0.7)), {1: ("refuse", True)}),  # it was warned of, so it made it larger
    (kept(row(0.8, "pass", 1.0, 0.7)), {}),
    (kept(row(0.8, "pass", 1.0), reduces=True), {}),  # what only reduces is not looked at
    (kept(row(0.8, of=("order_notional", "holding", "trend/US10"))), {}),
])  # fmt: skip
def test_a_lower_limit_turns_for_certain_what_is_known_to_have_made_a_value_larger(
    given: Kept, expected: dict[int, tuple[str, bool]]
) -> None:
    found = {each.kept.number: (each.becomes, each.certain) for each in all_under([given], bond(refuse=0.6))}
    assert found == expected


@pytest.mark.parametrize(("no_worse", "expected"), [
    ((True,), {}),  # it was judged, and let through beyond its limit
    ((None,), {1: ("refuse", False)}),  # it passed for only reducing: whether it made the value larger nobody knows
    ((), {1: ("refuse", False)}),  # kept before that was told
])  # fmt: skip
def test_what_only_reduced_and_is_judged_now_may_have_made_a_value_no_larger(
    no_worse: tuple[bool | None, ...], expected: dict[int, tuple[str, bool]]
) -> None:
    one = kept(row(1.5, "pass", 1.0), reduces=True, no_worse=no_worse)
    found = all_under([one], bond(refuse=0.5, reducing="judge"))
    assert {each.kept.number: (each.becomes, each.certain) for each in found} == expected


def test_a_value_of_the_order_itself_turns_for_certain() -> None:
    """An order's size was nothing before: it is judged by itself."""
    one = kept(row(0.8, "pass", 1.0, of=("order_notional", "holding", "trend/US10")))
    (found,) = all_under([one], {"rule": "order_notional", "refuse": 0.6})
    assert (found.becomes, found.certain) == ("refuse", True)


def test_a_higher_limit_turns_for_certain() -> None:
    (found,) = all_under([kept(row(1.5, "refuse", 1.0))], bond(refuse=2.0))
    assert (found.becomes, found.certain) == ("pass", True)


def test_what_is_more_closely_named_goes_before() -> None:
    holding = ("restricted", "holding", "trend/US10")
    barred = [kept(row(1.0, of=holding))]
    every = {"rule": "restricted", "refuse": 0.0}
    assert under(barred, every) == {1: "refuse"}
    assert under(barred, every, {"rule": "restricted", "refuse": 1.0, "instrument": "US10"}) == {}
    assert under(barred, every, {"rule": "restricted", "refuse": 1.0, "strategy": "carry"}) == {1: "refuse"}


def test_orders_of_a_list_turn_together() -> None:
    """One stood in the way of the other; where it does not any more, both pass."""
    beside = (Reason("list", "another order of the list is refused."),)
    pair = [
        kept(row(1.5, "refuse", 1.0), number=1, call=1),
        kept(row(0.5, "pass", 1.0), outcome="refuse", reasons=beside, number=2, call=1),
        kept(row(0.5, "pass", 1.0), outcome="refuse", reasons=beside, number=3, call=3),
        kept(outcome="refuse", reasons=(Reason("quantity_zero", ""),), number=4, call=3),  # judged by no rule
    ]
    assert under(pair, bond(refuse=2.0)) == {1: "pass", 2: "pass"}
    assert under(pair, bond(refuse=1.2)) == {}


def test_a_decision_says_which_rule_turns_it() -> None:
    decisions = [kept(row(1.5, "refuse", 1.0), row(2.0, of=("net_exposure", "asset_class", "bond")))]
    desk = DeskSettings.model_validate({"risk": {"limits": [bond(refuse=2.0)]}})
    (found,) = turned(decisions, lambda session: levels_of(desk, session, decisions, INSTRUMENTS))
    assert found.because == (
        "gross_exposure of bond: 1.5 times capital, refuse under refuse 1, pass under refuse 2",
    )  # fmt: skip


def test_an_instrument_that_reference_data_forgot_keeps_what_it_was() -> None:
    gone = row(1.5, "refuse", 1.0, of=("position_size", "instrument", "OLD"))
    assert under([kept(gone, instrument="OLD")], bond(refuse=1.0)) == {}


def test_legs_of_a_roll_are_judged_by_the_limits_of_rolls() -> None:
    """The size of an order warns of a roll and a holding cuts it; a loss asks about neither leg, and a restriction
    about the leg out of the old contract alone."""
    notional, day = ("order_notional", "holding", "trend/US10"), ("daily_loss", "portfolio", "book")
    barred = ("restricted", "holding", "trend/US10")
    limits = {"rule": "order_notional", "refuse": 1.0}, bond(refuse=1.0), {"rule": "restricted", "refuse": 0.0}
    into = [
        kept(row(1.5, of=notional), number=1, action="roll_in"), kept(row(1.5), number=2, action="roll_in"),
        kept(row(0.9, of=day), number=3, action="roll_in"), kept(row(1.0, of=barred), number=4, action="roll_in"),
    ]  # fmt: skip
    assert under(into, *limits) == {1: "warn", 2: "refuse"}
    assert under([replace(each, about=each.about._replace(action="roll_out")) for each in into], *limits) == {
        4: "refuse"
    }
    orders = [replace(each, about=each.about._replace(action="reserve")) for each in into]
    assert under(orders, *limits) == dict.fromkeys((1, 2, 3, 4), "refuse")
