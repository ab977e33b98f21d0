"""Files of every earlier schema keep loading: the same values, in today's places. Samples are in schemas/, for good.

Expected values are written by hand from the samples; nothing of them is computed by what is tested.
"""

from __future__ import annotations

import tomllib
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from trading.config.migrations import MIGRATIONS, MOVES, SCHEMA, authored_path, migrated
from trading.errors import ConfigError

SAMPLES = Path(__file__).parent / "schemas"

DESK_1: dict[str, Any] = {
    "schema": 2,
    "data": {
        "universe": {"instruments": ["CORN", "US10", "SP500_micro"]},
        "vendor": {
            "name": "csv_folder",
            "source": "/data/contracts",
            "seed": 7,
            "faults": ["spike"],
            "columns": {
                "time": "Date", "open": "", "high": "Hi", "low": "Lo", "close": "Settle", "volume": "Vol",
                "time_format": "%d/%m/%Y", "delimiter": ";", "encoding": "latin-1",
                "file_pattern": r"(?P<instrument>[A-Z]+)-(?P<contract>\d{8})\.csv",
                "price_factor": 0.01, "frequency": "intraday",
            },
        },
        "prices": {"calendar": "weekdays", "stitching": "ratio"},
        "storage": {"ledger": {"store": "postgresql", "timeout_seconds": 4.0}},
    },
    "features": {"correlation_span_weeks": 52, "correlation_min_weeks": 8},
    "trading": {
        "strategies": ["trend", "carry"],
        "capital": {"base_currency": "EUR", "capital_base": 2_500_000.0, "volatility_target_percent": 16.0},
        "broker": {
            "name": "interactive_brokers", "account": "DU1234567", "host": "10.0.0.7", "port": 7497, "client_id": 12,
            "timeout_seconds": 30.0, "timezone": "America/Chicago", "session_ends": time(16), "history_days": 3,
            "statements": "/data/statements", "statement_format": "flex",
            "columns": {
                "record": "", "symbol": "Ticker", "contract": "Expiry", "quantity": "Qty", "price": "Avg",
                "currency": "Ccy", "amount": "Cash", "trade_id": "Id", "commission": "Comm", "executed_at": "At",
                "order_reference": "Ref", "settles_daily": False, "delimiter": "|", "encoding": "utf-16",
                "date_format": "%Y%m%d",
            },
            "symbols": {"ZC": "CORN", "ZN": "US10"},
        },
        "reconciliation": {
            "price_tolerance_fraction": 0.0002, "cash_tolerance_local": 0.5, "stale_after_hours": 26.0, "owner": "ann",
        },
        "close": {"residual_tolerance_base": 0.05},
    },
    "risk": {"max_gross_exposure_fraction": 12.5, "max_daily_loss_fraction": 0.03},
    "operations": {
        "runs": {"wait_seconds": 45.0},
        "notifier": {"webhook_url": "https://hooks.example.org/desk"},
    },
    "symbols": {"defaults": {"max_position_contracts": 120, "order_type": "limit"}},
}  # fmt: skip

EXPECTED_1: dict[str, dict[str, Any]] = {
    "desk.toml": DESK_1,
    "base.toml": {
        "schema": 2,
        "trading": {
            "strategies": ["trend"],
            "capital": {"base_currency": "USD", "capital_base": 10_000_000.0, "volatility_target_percent": 20.0},
        },
        "data": {
            "prices": {"calendar": "exchange", "stitching": "panama"},
            "vendor": {"name": "simulated", "seed": 1},
        },
        "features": {"correlation_span_weeks": 75, "correlation_min_weeks": 10},
        "risk": {"max_gross_exposure_fraction": 20.0, "max_daily_loss_fraction": 0.05},
        "symbols": {"defaults": {"max_position_contracts": 500}},
    },
    "local.toml": {"schema": 2},
    "services.toml": {"schema": 2, "data": {"storage": {"ledger": {"store": "mongodb", "timeout_seconds": 10.0}}}},
    "vendor_only.toml": {
        "schema": 2,
        "data": {
            "vendor": {"name": "pysystemtrade", "source": "/data/futures"},
            "universe": {"instruments": ["CORN"]},
        },
    },
    "limits_and_broker.toml": {
        "schema": 2,
        "trading": {"strategies": []},
        "risk": {"max_daily_loss_fraction": 0.02},
        "symbols": {"defaults": {"order_type": "limit"}},
    },
}


def read(name: str) -> dict[str, Any]:
    """A sample of schema 1."""
    return tomllib.loads((SAMPLES / "1" / name).read_text())


@pytest.mark.parametrize("name", EXPECTED_1)
def test_a_sample_of_schema_1_says_the_same_in_new_places(name: str) -> None:
    """Each sample, whole, as worked by hand."""
    assert migrated(read(name), name) == EXPECTED_1[name]


def test_every_earlier_schema_has_a_step_samples_and_expectations() -> None:
    """A schema without samples cannot be said to load."""
    earlier = set(range(1, SCHEMA))
    assert set(MIGRATIONS) == set(MOVES) == earlier == {int(folder.name) for folder in SAMPLES.iterdir()}
    assert {file.name for file in (SAMPLES / "1").glob("*.toml")} == set(EXPECTED_1)


def test_no_value_is_lost_and_none_is_made_up() -> None:
    """Leaves before and after are the same, but for `schema` and the name of a deployment."""
    before, after = leaves(read("desk.toml")), leaves(migrated(read("desk.toml"), "desk.toml"))
    assert sorted(map(repr, before)) == sorted(map(repr, [*(each for each in after if each != 2), "local"]))


def leaves(value: Any) -> list[Any]:
    """Every value that is not a table."""
    return [each for inner in value.values() for each in leaves(inner)] if isinstance(value, dict) else [value]


def test_what_is_given_stays_as_it_is() -> None:
    """A migration is pure."""
    given = read("desk.toml")
    migrated(given, "desk.toml")["trading"]["broker"]["symbols"]["ZC"] = "OTHER"
    assert given == read("desk.toml")


def test_a_file_of_today_is_left_alone() -> None:
    """Names of schema 1 mean nothing there, and are for the models to refuse."""
    values = {"schema": 2, "environment": "paper", "limits": {"max_position_contracts": 1}}
    assert migrated(values, "desk.toml") == values


def test_a_migrated_file_migrates_to_itself() -> None:
    """Migrating twice is migrating once."""
    once = migrated(read("desk.toml"), "desk.toml")
    assert migrated(once, "desk.toml") == once


@pytest.mark.parametrize("name", ["local", "services"])
def test_the_environment_of_schema_1_was_a_deployment_and_goes(name: str) -> None:
    """`local` is no environment now; the deployment is chosen where it always was."""
    assert migrated({"environment": name}, "desk.toml") == {"schema": 2}


@pytest.mark.parametrize("name", ["production", "paper", "my_own"])
def test_another_environment_is_not_dropped_in_silence(name: str) -> None:
    """Somebody who forgot `schema = 2` must not get development instead of production."""
    assert migrated({"environment": name}, "desk.toml") == {"schema": 2, "environment": name}


def test_unknown_keys_go_with_their_section_for_the_models_to_refuse() -> None:
    """A misspelt limit must not vanish."""
    given = {"limits": {"max_position_contract": 5}, "market": {"x": 1}, "typo": {"a": 1}}
    expected = {"risk": {"max_position_contract": 5}, "data": {"prices": {"x": 1}}, "typo": {"a": 1}, "schema": 2}
    assert migrated(given, "desk.toml") == expected


def test_a_section_that_is_no_table_is_kept_for_the_models_to_refuse() -> None:
    """`limits = 5` is wrong, and stays wrong."""
    assert migrated({"limits": 5, "trading": "trend"}, "desk.toml") == {
        "schema": 2, "risk": 5, "trading": {"strategies": "trend"},
    }  # fmt: skip


def test_old_and_new_names_side_by_side_are_joined() -> None:
    """A file on its way: new sections written, old ones not yet taken out."""
    given = {
        "trading": {"capital": {"base_currency": "EUR"}},
        "capital": {"capital_base": 5.0},
        "limits": {"max_position_contracts": 3, "max_daily_loss_fraction": 0.1},
        "symbols": {"defaults": {"max_silent_sessions": 2}},
        "risk": {"max_gross_exposure_fraction": 4.0},
    }
    assert migrated(given, "desk.toml") == {
        "schema": 2,
        "trading": {"capital": {"base_currency": "EUR", "capital_base": 5.0}},
        "symbols": {"defaults": {"max_silent_sessions": 2, "max_position_contracts": 3}},
        "risk": {"max_gross_exposure_fraction": 4.0, "max_daily_loss_fraction": 0.1},
    }


@pytest.mark.parametrize(
    ("given", "old", "new"),
    [
        (
            {"limits": {"max_position_contracts": 3}, "symbols": {"defaults": {"max_position_contracts": 9}}},
            "limits.max_position_contracts",
            "symbols.defaults.max_position_contracts",
        ),
        ({"capital": {"capital_base": 1.0}, "trading": {"capital": {"capital_base": 2.0}}}, "capital.capital_base",
         "trading.capital.capital_base"),
    ],
)  # fmt: skip
def test_a_value_in_its_old_and_its_new_place_is_refused(given: dict[str, Any], old: str, new: str) -> None:
    """Which of them is meant is not for us to say."""
    with pytest.raises(ConfigError) as refused:
        migrated(given, "home/desk.toml")
    assert str(refused.value).startswith(f"home/desk.toml: {old} is the name of before for {new}")


def test_an_old_section_whose_new_place_is_no_table_is_refused() -> None:
    """`data = 5` is in the way of the vendor's section."""
    with pytest.raises(ConfigError) as refused:
        migrated({"vendor": {"name": "simulated"}, "data": 5}, "desk.toml")
    assert str(refused.value) == (
        "desk.toml: vendor stands in data.vendor now, but data is 5 and no table. Make it a table, and move vendor "
        "there."
    )


def test_a_newer_schema_is_refused_with_a_sentence() -> None:
    """What was found, where, and what to do."""
    with pytest.raises(ConfigError) as refused:
        migrated({"schema": 3}, "home/desk.toml")
    assert str(refused.value) == (
        "home/desk.toml: schema 3 is newer than this Daybook reads: it knows schemas 1 to 2. Bring Daybook up to date, "
        "or go back to the file of before."
    )


@pytest.mark.parametrize("given", [0, -1, True, "2", 2.0, None, [2]])
def test_a_schema_that_is_no_number_is_refused(given: object) -> None:
    """2.0 and true are not 2 and 1."""
    with pytest.raises(ConfigError, match=r"^desk\.toml: schema is .*, but must be a whole number from 1 to 2"):
        migrated({"schema": given}, "desk.toml")


@pytest.mark.parametrize(
    ("today", "then"),
    [
        (("symbols", "defaults", "max_position_contracts"), ("limits", "max_position_contracts")),
        (("symbols", "defaults", "order_type"), ("broker", "order_type")),
        (("risk", "max_daily_loss_fraction"), ("limits", "max_daily_loss_fraction")),
        (("data", "universe", "instruments", 3), ("vendor", "instruments", 3)),
        (("trading", "strategies", 0), ("trading", 0)),
        (("trading", "broker", "columns", "open"), ("broker", "columns", "open")),
        (("data", "vendor", "nam"), ("vendor", "nam")),
        (("features", "correlation_span_weeks"), ("market", "correlation_span_weeks")),
        (("environment",), ("environment",)),
    ],
)
def test_a_refusal_finds_the_line_in_an_old_file(today: tuple[str | int, ...], then: tuple[str | int, ...]) -> None:
    """A setting of today stands under its name of then."""
    assert authored_path(today, 1) == then
    assert authored_path(today, SCHEMA) == today
