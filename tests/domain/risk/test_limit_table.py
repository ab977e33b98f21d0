"""Which limit is in force for what: inheritance, dates and what is wrong, with levels worked by hand.

Does not belong here: what values are compared with levels (`test_risk_cases.py`).
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from trading.config.models import DeskSettings
from trading.errors import ConfigError
from trading.risk.limit_table import ROLLING, LimitTable, faults, idle, limit_table, rules
from trading.risk.market import Market, group

SESSION = date(2024, 3, 15)
STRATEGIES = ("carry", "trend")
CODES = ("GOLD", "OIL", "US10")
MARKET = Market(
    version="by hand", session=SESSION, instruments=CODES,
    contracts=(("GOLD", 202404), ("GOLD", 202406), ("OIL", 202404), ("US10", 202406)),
    contract_instrument=np.array([0, 0, 1, 2]), mark_points=np.full(4, 100.0), mark_age_sessions=np.zeros(4),
    notional_base=np.full(4, 1e5), roll_state=np.zeros(4, np.int64), volatility_base=np.full(3, 1e3),
    median_volume=np.full(3, 1e3), low_volume=np.full(3, 1e3), spread_fraction=np.full(3, 1e-4),
    margin_base=np.full(3, 4e3),
    groups={
        "sector": group(["Metals", "Energy", "Bonds"]), "asset_class": group(["Commodity", "Commodity", "Rates"]),
        "country": group(["US", "UK", "US"]), "currency": group(["USD", "GBP", "USD"]),
        "exchange_group": group(["CME", "ICE", "CME"]),
    },
    factors=("dollar", "oil"), factor_loadings=np.zeros((2, 3)), component_loadings=np.zeros((2, 3)),
    stress_names=("squeeze",), stresses=np.zeros((1, 3)), scenarios=np.zeros((2, 3)),
    covariance_loadings=np.zeros((3, 1)), covariance_rest=np.ones(3),
)  # fmt: skip
INF = math.inf
ONE_DAY = timedelta(days=1)
Entry = dict[str, Any]


def desk(*limits: Entry, **given: Any) -> DeskSettings:
    return DeskSettings.model_validate({**given, "risk": {**given.get("risk", {}), "limits": list(limits)}})


def table(*limits: Entry, **given: Any) -> LimitTable:
    return limit_table(desk(*limits, **given), MARKET, STRATEGIES, "made")


def levels(found: LimitTable, rule: str, axis: str, which: str = "refuse") -> list[float]:
    """The levels of a slot, by element."""
    slot = found.slot(rule, axis)
    return [float(level) for level in getattr(found, which)[slot.first : slot.first + slot.count]]


@pytest.mark.parametrize("entry", [
    {"rule": "gross_exposure", "sector": "Metls", "refuse": 1.0},
    {"rule": "position_size", "instrument": "GLOD", "warn": 1.0},
    {"rule": "restricted", "strategy": "trnd", "refuse": 0.0},
    {"rule": "factor_exposure", "factor": "rates", "refuse": 0.1},
    {"rule": "component_exposure", "component": 3, "refuse": 0.1},  # two were found
    {"rule": "stress", "scenario": "crash", "refuse": 0.1},
    {"rule": "position_size", "instrument": "GOLD", "sector": "Energy", "refuse": 1.0},  # gold is no energy
])  # fmt: skip
def test_an_entry_that_holds_for_nothing_is_told(entry: Entry) -> None:
    (found,) = idle(desk({"rule": "gross_exposure", "warn": 9.0}, entry), MARKET, STRATEGIES)
    names = [str(value) for name, value in entry.items() if name not in ("refuse", "warn")]
    assert found.startswith(f"risk.limits entry 2, {entry['rule']} of ")
    assert all(name in found for name in names), found
    assert f"limits nothing: of what the desk has on {SESSION}, nothing is called so" in found


def test_an_entry_that_holds_for_something_or_at_another_time_is_not_told() -> None:
    held = (
        {"rule": "gross_exposure", "sector": "Metals", "refuse": 1.0}, {"rule": "stress", "refuse": 0.1},
        {"rule": "component_exposure", "component": 2, "refuse": 0.1},
        {"rule": "drawdown", "by": "strategy", "warn": 1.0},
        {"rule": "restricted", "strategy": STRATEGIES[0], "sector": "Bonds", "refuse": 0.0},
    )  # fmt: skip
    assert idle(desk(*held), MARKET, STRATEGIES) == []
    past = {"rule": "gross_exposure", "sector": "Metls", "refuse": 1.0, "effective_until": MARKET.session - ONE_DAY}
    assert idle(desk(past), MARKET, STRATEGIES) == []


# --- what there is ----------------------------------------------------------------------------------------------------
def test_every_rule_has_a_slot_of_each_of_its_axes_and_places_do_not_overlap() -> None:
    found = table()
    assert [slot.name for slot in found.slots] == [f"{rule.name}/{axis}" for rule in rules() for axis in rule.axes]
    counts = {
        "portfolio": 1, "strategy": 2, "instrument": 3, "contract": 4, "holding": 6, "sector": 3, "asset_class": 2,
        "country": 2, "currency": 2, "exchange_group": 2, "factor": 2, "component": 2, "scenario": 1,
    }  # fmt: skip
    assert [slot.count for slot in found.slots] == [counts[slot.axis] for slot in found.slots]
    ends = np.cumsum([slot.count for slot in found.slots])
    assert [slot.first for slot in found.slots] == [0, *ends[:-1]]
    assert len(found.refuse) == len(found.warn) == len(found.judges) == len(found.lenient) == ends[-1]


def test_without_entries_only_settings_and_gates_limit_anything() -> None:
    found = table()
    assert found.limited() == {
        "daily_loss", "gross_exposure", "halt", "instrument_exposure", "instrument_lock", "order_size",
        "position_size", "session_orders", "trading_mode",
    }  # fmt: skip
    assert levels(found, "gross_exposure", "portfolio") == [20.0]
    assert levels(found, "gross_exposure", "sector") == [INF] * 3
    assert levels(found, "daily_loss", "portfolio") == [0.05]
    assert levels(found, "daily_loss", "strategy") == [INF] * 2
    assert levels(found, "session_orders", "portfolio") == [10_000.0]
    assert levels(found, "position_size", "instrument") == [500.0] * 3
    assert levels(found, "halt", "holding") == [0.0] * 6
    assert not found.lenient.any()


def test_gates_and_the_collar_judge_orders_that_reduce_and_nothing_else_does() -> None:
    found = table()
    judging = {slot.rule.name for slot in found.slots if found.judges[slot.first : slot.first + slot.count].all()}
    assert judging == {"halt", "instrument_lock", "price_collar", "restricted", "trading_mode"}


def test_levels_of_symbols_come_from_their_settings() -> None:
    symbols = {
        "defaults": {"max_position_contracts": 9, "max_order_contracts": 5},
        "symbols": {"OIL": {"max_position_contracts": 4, "max_exposure_fraction": 0.5}},
        "strategies": {"trend": {"max_order_contracts": 3}},
    }
    found = table(symbols=symbols)
    assert levels(found, "position_size", "instrument") == [9.0, 4.0, 9.0]
    assert levels(found, "instrument_exposure", "instrument") == [1000.0, 0.5, 1000.0]
    assert levels(found, "order_size", "holding") == [5.0, 5.0, 5.0, 3.0, 3.0, 3.0]  # of carry, then of trend


# --- inheritance ------------------------------------------------------------------------------------------------------
def test_what_is_named_more_closely_goes_before_whatever_the_order() -> None:
    entries = [
        {"rule": "order_notional", "refuse": 5.0, "strategy": "trend", "instrument": "GOLD"},
        {"rule": "order_notional", "refuse": 4.0, "instrument": "GOLD"},
        {"rule": "order_notional", "refuse": 3.0, "strategy": "trend"},
        {"rule": "order_notional", "refuse": 2.0, "sector": "Bonds"},
        {"rule": "order_notional", "refuse": 1.0},
    ]
    expected = [4.0, 1.0, 2.0, 5.0, 3.0, 3.0]  # carry: GOLD, OIL, US10; trend: GOLD, OIL, US10
    assert levels(table(*entries), "order_notional", "holding") == expected
    assert levels(table(*reversed(entries)), "order_notional", "holding") == expected


@pytest.mark.parametrize(
    ("closer", "wider"),
    [
        ({"sector": "Metals"}, {}),
        ({"exchange_group": "CME"}, {"sector": "Metals"}),
        ({"exchange_group": "CME"}, {"asset_class": "Commodity"}),
        ({"exchange_group": "CME"}, {"currency": "USD"}),
        ({"strategy": "trend"}, {"exchange_group": "CME"}),
        ({"strategy": "trend", "sector": "Metals"}, {"strategy": "trend"}),
        ({"instrument": "GOLD"}, {"strategy": "trend"}),
        ({"instrument": "GOLD"}, {"strategy": "trend", "sector": "Metals"}),
        ({"strategy": "trend", "instrument": "GOLD"}, {"instrument": "GOLD"}),
    ],
)
def test_which_of_two_names_is_closer(closer: Entry, wider: Entry) -> None:
    rule, axis = ("order_notional", "holding") if "strategy" in {**closer, **wider} else ("spread", "instrument")
    limits = [{"rule": rule, "refuse": level, **named} for level, named in ((0.1, closer), (0.2, wider))]
    place = 3 if axis == "holding" else 0  # trend's GOLD
    for entries in (limits, limits[::-1]):
        assert levels(table(*entries), rule, axis)[place] == 0.1


def test_a_level_that_is_left_out_is_inherited() -> None:
    found = table(
        {"rule": "spread", "refuse": 0.02, "warn": 0.01, "missing": "warn", "reducing": "judge"},
        {"rule": "spread", "instrument": "OIL", "refuse": 0.05},
        {"rule": "spread", "instrument": "US10", "missing": "refuse", "warn": 0.015},
    )
    assert levels(found, "spread", "instrument") == [0.02, 0.05, 0.02]
    assert levels(found, "spread", "instrument", "warn") == [0.01, 0.01, 0.015]
    assert levels(found, "spread", "instrument", "lenient") == [1, 1, 0]
    assert levels(found, "spread", "instrument", "judges") == [1, 1, 1]


def test_names_are_of_the_axis_that_is_meant() -> None:
    found = table(
        {"rule": "gross_exposure", "warn": 10.0},
        {"rule": "gross_exposure", "sector": "Energy", "refuse": 2.0},
        {"rule": "gross_exposure", "by": "currency", "refuse": 3.0},
        {"rule": "order_rate", "strategy": "trend", "refuse": 5.0},
        {"rule": "factor_exposure", "factor": "oil", "refuse": 0.1},
        {"rule": "component_exposure", "component": 2, "refuse": 0.2},
        {"rule": "contract_position", "exchange_group": "CME", "refuse": 7.0},
    )
    assert levels(found, "gross_exposure", "portfolio", "warn") == [10.0]
    assert levels(found, "gross_exposure", "sector") == [INF, 2.0, INF]  # Bonds, Energy, Metals
    assert levels(found, "gross_exposure", "currency") == [3.0, 3.0]
    assert levels(found, "order_rate", "portfolio") == [INF]
    assert levels(found, "order_rate", "strategy") == [INF, 5.0]
    assert levels(found, "factor_exposure", "factor") == [INF, 0.1]
    assert levels(found, "component_exposure", "component") == [INF, 0.2]
    assert levels(found, "contract_position", "contract") == [7.0, 7.0, INF, 7.0]


# --- dates ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({}, 0.1),
        ({"effective_from": "2024-03-15"}, 0.1),
        ({"effective_from": "2024-03-16"}, INF),
        ({"effective_until": "2024-03-15"}, 0.1),
        ({"effective_until": "2024-03-14"}, INF),
        ({"effective_from": "2024-03-15", "effective_until": "2024-03-15"}, 0.1),
        ({"effective_from": "2024-01-01", "effective_until": "2024-12-31"}, 0.1),
    ],
)
def test_a_limit_holds_from_its_first_session_to_its_last(dates: Entry, expected: float) -> None:
    assert levels(table({"rule": "spread", "refuse": 0.1, **dates}), "spread", "instrument") == [expected] * 3


def test_one_limit_takes_over_from_another() -> None:
    found = table(
        {"rule": "spread", "refuse": 0.1, "effective_until": "2024-03-14"},
        {"rule": "spread", "refuse": 0.2, "effective_from": "2024-03-15"},
    )
    assert levels(found, "spread", "instrument") == [0.2] * 3


def test_a_closer_limit_that_expired_gives_way_to_the_wider_one() -> None:
    found = table(
        {"rule": "spread", "instrument": "OIL", "refuse": 0.5, "effective_until": "2024-03-14"},
        {"rule": "spread", "refuse": 0.1},
    )
    assert levels(found, "spread", "instrument") == [0.1] * 3


# --- what is wrong ----------------------------------------------------------------------------------------------------
WRONG: list[tuple[list[Entry], str]] = [
    ([{"rule": "spred", "refuse": 1}], "there is no rule spred. Did you mean spread?"),
    ([{"rule": "spread", "by": "sector", "refuse": 1}], "spread is not measured by sector, but by instrument."),
    ([{"rule": "spread", "strategy": "trend", "refuse": 1}], "can be named by instrument, sector, asset_class"),
    ([{"rule": "leverage", "instrument": "OIL", "refuse": 1}], "leverage by portfolio can be named by nothing"),
    ([{"rule": "position_size", "refuse": 1}], "is the setting max_position_contracts"),
    ([{"rule": "order_size", "instrument": "OIL", "refuse": 1}], "is the setting max_order_contracts"),
    ([{"rule": "gross_exposure", "refuse": 1}], "is the setting max_gross_exposure_fraction"),
    ([{"rule": "daily_loss", "by": "portfolio", "refuse": 1}], "is the setting max_daily_loss_fraction"),
    ([{"rule": "session_orders", "refuse": 1}], "is the setting max_per_session"),
    ([{"rule": "spread", "refuse": 1}, {"rule": "spread", "refuse": 2}], "entry 1 sets refuse of spread for the same"),
    (
        [{"rule": "gross_exposure", "sector": "Energy", "warn": 1},
         {"rule": "gross_exposure", "by": "sector", "sector": "Energy", "warn": 2}],
        "entry 1 sets warn of gross_exposure for the same",
    ),
    (
        [{"rule": "spread", "refuse": 1, "effective_until": "2024-03-15"},
         {"rule": "spread", "refuse": 2, "effective_from": "2024-03-15"}],
        "give them dates that do not overlap",
    ),
    ([{"rule": "spread", "refuse": 1}, {"rule": "spread", "warn": 2}],
     "spread is refused above 1 (entry 1), so nobody would be warned at 2"),
    ([{"rule": "spread", "refuse": 5}, {"rule": "spread", "sector": "Energy", "refuse": 1},
      {"rule": "spread", "instrument": "OIL", "sector": "Energy", "warn": 2}], "above 1 (entry 2)"),
    ([{"rule": "spread", "refuse": 3, "effective_until": "2024-03-14"},
      {"rule": "spread", "refuse": 1, "effective_from": "2024-03-15"},
      {"rule": "spread", "warn": 2, "effective_from": "2024-03-20"}], "above 1 (entry 2)"),
    ([{"rule": "position_size", "warn": 501}], "above 500 (the setting max_position_contracts)"),
    ([{"rule": "gross_exposure", "warn": 20.5}], "above 20 (the setting max_gross_exposure_fraction)"),
    ([{"rule": "session_orders", "warn": 10_001}], "above 10000 (the setting max_per_session)"),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_limit_that_means_nothing_is_refused_with_what_to_do(entries: list[Entry], said: str) -> None:
    found = faults(desk(*entries))
    assert len(found) == 1
    assert said in found[0]
    assert found[0].startswith(f"risk.limits entry {len(entries)}: ")
    with pytest.raises(ConfigError, match=r"risk\.limits entry"):
        table(*entries)


FINE: list[list[Entry]] = [
    [{"rule": "spread", "refuse": 1}, {"rule": "spread", "warn": 0.5}],
    [{"rule": "spread", "refuse": 1}, {"rule": "spread", "instrument": "OIL", "refuse": 2}],
    [{"rule": "position_size", "warn": 100}],
    [{"rule": "gross_exposure", "warn": 10}, {"rule": "gross_exposure", "by": "sector", "refuse": 3}],
    [{"rule": "daily_loss", "strategy": "trend", "refuse": 0.01}],
    [{"rule": "spread", "refuse": 1, "effective_until": "2024-03-14"},
     {"rule": "spread", "refuse": 2, "effective_from": "2024-03-15"}],
    [{"rule": "order_size", "rolling": "cut"}, {"rule": "contract_position", "refuse": 5, "rolling": "warn"}],
    [{"rule": "restricted", "refuse": 0, "reducing": "pass"}],  # a list of what only may be got rid of
    # Warned of where a closer entry refuses later, in the days before another one, or where nothing is refused.
    [{"rule": "spread", "refuse": 1}, {"rule": "spread", "warn": 2}, {"rule": "spread", "instrument": "OIL",
                                                                      "refuse": 3}],
    [{"rule": "spread", "warn": 2}, {"rule": "spread", "refuse": 1, "effective_from": "2024-03-15"}],
    [{"rule": "spread", "sector": "Energy", "warn": 2}, {"rule": "spread", "sector": "Metals", "refuse": 1}],
    [{"rule": "gross_exposure", "by": "sector", "warn": 21}],
]  # fmt: skip


@pytest.mark.parametrize("entries", FINE)
def test_limits_that_go_together(entries: list[Entry]) -> None:
    assert faults(desk(*entries)) == []


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"rule": "spread"}, "sets nothing"),
        ({"rule": "spread", "refuse": 1, "warn": 2}, "nobody would be warned"),
        ({"rule": "spread", "refuse": 1, "effective_from": "2024-03-15", "effective_until": "2024-03-14"}, "Exchange"),
        ({"rule": "spread", "refuse": -0.1}, "greater than or equal to 0"),
        ({"rule": "spread", "refuse": math.nan}, "finite number|greater than or equal"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_not_read(entry: Entry, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        desk(entry)


def test_a_warning_that_a_setting_of_a_symbol_lets_be_heard_is_fine() -> None:
    """Of oil a thousand may be held; of what a table says nothing is known here."""
    of_oil = {"symbols": {"OIL": {"max_position_contracts": 1000}}}
    general, own = {"rule": "position_size", "warn": 600}, {"rule": "position_size", "instrument": "OIL", "warn": 600}
    assert faults(desk(general, symbols=of_oil)) == faults(desk(own, symbols=of_oil)) == []
    (found,) = faults(desk({"rule": "position_size", "instrument": "GOLD", "warn": 600}, symbols=of_oil))
    assert "refused above 500 (the setting max_position_contracts)" in found
    assert faults(desk(general, symbols={"table": "symbols.csv"})) == []


GATES = ("halt", "instrument_lock", "trading_mode")


@pytest.mark.parametrize(
    "setting",
    [{"refuse": 1.0}, {"warn": 0.0}, {"reducing": "pass"}, {"missing": "warn"}, {"rolling": "cut"}],
    ids=str,
)
@pytest.mark.parametrize("rule", GATES)
def test_a_gate_that_is_always_in_force_cannot_be_opened_by_a_limit(rule: str, setting: Entry) -> None:
    (found,) = faults(desk({"rule": rule, **setting}))
    assert f"{rule} is always in force" in found
    assert found.endswith("Take the entry out.")


def test_what_a_limit_does_to_rolls_is_inherited_by_itself() -> None:
    """The rule's own, then what is named more closely, whatever else the closer entry says."""
    entries = [
        {"rule": "contract_position", "refuse": 50, "rolling": "warn"},
        {"rule": "contract_position", "instrument": "OIL", "refuse": 5},
        {"rule": "contract_position", "instrument": "GOLD", "rolling": "cut"},
    ]
    found = table(*entries)
    places = levels(found, "contract_position", "contract", "rolling")
    assert [ROLLING[int(place)] for place in places] == ["cut", "cut", "warn", "warn"]  # gold twice, oil, bonds
    assert {ROLLING[int(place)] for place in levels(found, "order_size", "holding", "rolling")} == {"warn"}


@pytest.mark.parametrize("rule", ["drawdown", "order_rate", "restricted"])
def test_a_rule_that_is_not_asked_about_rolls_cannot_be_told_to_cut_them(rule: str) -> None:
    (found,) = faults(desk({"rule": rule, "refuse": 1.0, "rolling": "cut"}))
    assert found == f"risk.limits entry 1: {rule} is not asked how far a roll may go. Leave rolling out."


def test_two_entries_that_say_what_a_roll_gets_contradict_each_other() -> None:
    (found,) = faults(desk({"rule": "spread", "rolling": "cut"}, {"rule": "spread", "rolling": "warn"}))
    assert "entry 1 sets rolling of spread for the same" in found
