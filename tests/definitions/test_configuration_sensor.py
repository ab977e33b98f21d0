"""The sensor of configuration changes: every setting is mapped, a change starts what reads it and nothing else.

Belongs here: in-memory stores and one real run. Expected assets are written out by hand, from what each step reads.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from pydantic import BaseModel

from assets.partitions import SESSIONS
from pipelines.configuration_effects import BACKTESTS, EFFECTS, MADE_BY, changed, effect, parts
from pipelines.configuration_sensor import CHANGED_TAG, CONFIGURATION_TAG, Seen, configuration_changed
from pipelines.definitions import defs
from pipelines.jobs import CALCULATED
from resources.memory import MemoryFrames
from trading.config.drift import Named
from trading.config.models import DeskSettings
from trading.config.symbol_fields import FIELDS
from trading.config.symbols import GroupOverrides, SymbolOverrides
from trading.errors import ConfigError
from trading.frames import DAILY_PRICES, to_table
from trading.ports import Configurations, Span
from trading.quality.examination import all_rules

FRIDAY = date(2024, 3, 8)
SHIPPED = DeskSettings.model_validate({"trading": {"strategies": ["trend"]}})


# --- the table --------------------------------------------------------------------------------------------------------
def setting_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted paths of all settings of a model, by their names in files; strategies and symbols are counted apart."""
    for name, each in model.model_fields.items():
        path = f"{prefix}{each.alias or name}"
        kinds = [each.annotation, *typing.get_args(each.annotation)]
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if path in ("symbols", "strategies"):
            continue
        if inner and typing.get_origin(each.annotation) is not types.UnionType:
            yield from setting_paths(inner[0], f"{path}.")
        else:
            yield path


OF_SYMBOLS = [f"symbols.{name}" for name in {**SymbolOverrides.model_fields, **GroupOverrides.model_fields}]
ALL = [*setting_paths(DeskSettings), *OF_SYMBOLS, "symbols.table", "symbols.table_sha256", "strategies.trend"]


def test_the_settings_are_found() -> None:
    assert len(ALL) > 100
    assert {"schema", "features.correlation_span_weeks", "trading.broker.columns.record", "symbols.max_spike"} <= set(
        ALL
    )
    assert {f"symbols.{one.name}" for one in FIELDS} <= set(ALL)


@pytest.mark.parametrize("path", ALL)
def test_every_setting_has_assets_or_a_reason_for_none(path: str) -> None:
    found = effect(path)
    assert bool(found.assets or found.judged) != bool(found.because), found


TABLES = (
    "risk.limits",
    "risk.model.factors",
    "risk.model.scenarios",
    "risk.model.margins_local",
    "risk.service.tokens",
)


def test_every_part_that_can_change_is_a_setting_and_mapped() -> None:
    """Parts of tables that are empty as shipped are looked at in the test of all settings."""
    desk = DeskSettings.model_validate(
        {"symbols": {"asset_classes": {"energy": {"inherits": "all", "max_spike": 5.0}, "all": {}}}}
    )
    wanted = {name for name in ALL if not name.startswith(TABLES)} - {"strategies.trend"}
    assert {name for name in parts(desk) if not name.startswith(TABLES)} == wanted
    assert wanted < set(ALL)


def test_no_row_of_the_table_is_about_a_setting_that_there_is_not() -> None:
    idle = [path for path in EFFECTS if not any(one == path or one.startswith(f"{path}.") for one in ALL)]
    assert [path for path in idle if path != "strategies"] == []


def test_every_asset_of_the_table_exists_and_somebody_makes_it() -> None:
    known = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    named = {name for found in EFFECTS.values() for name in (*found.assets, *found.judged)} - {BACKTESTS}
    assert named <= known
    started = {key.to_user_string() for asset in CALCULATED for key in asset.keys}
    assert {name for found in EFFECTS.values() for name in found.assets} - {BACKTESTS} <= started | set(MADE_BY)
    assert started.isdisjoint(MADE_BY), "what a change starts is never what only a close makes"


@pytest.mark.parametrize(
    ("rule", "path"), [("spikes", "symbols.max_spike"), ("freshness", "symbols.max_silent_sessions")]
)
def test_what_is_judged_anew_is_what_the_rule_judges(rule: str, path: str) -> None:
    (found,) = (one for one in all_rules() if one.name == rule)
    assert set(effect(path).judged) == set(found.datasets)


def test_nothing_that_trades_or_signs_is_started() -> None:
    started = {key.to_user_string() for asset in CALCULATED for key in asset.keys}
    book = {"targets", "orders", "fills", "positions", "pnl", "equity", "attribution", "breaks", "signature"}
    assert started.isdisjoint(book | {"collecting", "validated", "marked", "signed", "published", "daily_report"})


# --- telling configurations apart -------------------------------------------------------------------------------------
def with_(**sections: Any) -> DeskSettings:
    """The shipped settings with some changed."""
    return DeskSettings.model_validate({"trading": {"strategies": ["trend"]}, **sections})


def test_only_what_changed_is_named() -> None:
    other = with_(features={"correlation_span_weeks": 52}, data={"prices": {"stitching": "ratio"}})
    assert changed(parts(SHIPPED), parts(other)) == ["data.prices.stitching", "features.correlation_span_weeks"]
    assert changed(parts(SHIPPED), parts(SHIPPED)) == []


def test_a_symbol_of_any_level_is_a_change_of_its_field_alone() -> None:
    for level in ("asset_classes", "exchange_groups", "strategies", "symbols"):
        other = with_(symbols={level: {"CORN": {"max_spike": 5.0}}})
        assert changed(parts(SHIPPED), parts(other)) == ["symbols.max_spike"], level
    same = with_(symbols={"symbols": {"CORN": {}}})
    assert changed(parts(SHIPPED), parts(same)) == []


def test_a_cursor_is_read_back_and_stays_small() -> None:
    seen = Seen("a" * 64, 3, 2, parts(SHIPPED))
    assert Seen.read(seen.text()) == seen
    assert len(seen.text()) < 20_000
    assert [Seen.read(text) for text in (None, "", "7", '{"other": 1}', "{")] == [None] * 5


# --- ticks ------------------------------------------------------------------------------------------------------------
class Signatures:
    """As much of a ledger as the sensor asks: which sessions are signed."""

    def __init__(self, *sessions: date) -> None:
        self.sessions = {session.isoformat() for session in sessions}

    def rows(self, projection: str, where: Mapping[str, object]) -> list[dict[str, object]]:
        """Signatures of a session."""
        assert projection == "signatures"
        return [{**where, "version": 1}] if where["session"] in self.sessions else []


def prices(*sessions: date) -> MemoryFrames:
    """A store with prices of sessions."""
    frames = MemoryFrames()
    for session in sessions:
        row = dict.fromkeys(DAILY_PRICES.schema.names)
        stamp = pd.Timestamp(session)
        row |= {"instrument": "CORN", "contract": 20240500, "session": session, "stamp": stamp, "price": 430.0}
        frames.replace(DAILY_PRICES, to_table(pd.DataFrame([row]), DAILY_PRICES), Span.session(session))
    return frames


@dataclass
class Desk:
    """A desk whose configuration changes from tick to tick."""

    settings: DeskSettings = SHIPPED
    frames: MemoryFrames = field(default_factory=lambda: prices(date(2024, 3, 7), FRIDAY))
    ledger: Signatures = field(default_factory=Signatures)
    number: int = 1
    wrong: str = ""
    applied: bool = True
    cursor: str | None = None

    def files(self) -> DeskSettings:
        """Not asked by the sensor."""
        raise AssertionError

    def table(self, digest: str) -> bytes:
        """Not asked by the sensor."""
        raise AssertionError

    def in_force(self) -> tuple[Named, DeskSettings] | None:
        """The configuration in force."""
        if self.wrong:
            raise ConfigError(self.wrong)
        return (Named(self.settings.content_hash(), self.number), self.settings) if self.applied else None

    def tick(self) -> list[dg.RunRequest] | str:
        """The runs asked for, or why none."""
        ports = {"configuration": self, "frames": self.frames, "ledger": self.ledger}
        with dg.build_sensor_context(cursor=self.cursor, resources=ports) as context:
            found = configuration_changed(context)
            self.cursor = context.cursor
        return str(found.skip_message) if isinstance(found, dg.SkipReason) else list(found)

    def change(self, **sections: Any) -> list[dg.RunRequest] | str:
        """The next tick after a change."""
        self.settings, self.number = with_(**sections), self.number + 1
        return self.tick()


@pytest.fixture
def desk() -> Desk:
    """A desk that the sensor has seen once."""
    made = Desk()
    assert isinstance(made, Configurations)
    assert "is in force; its changes are acted on from now on" in str(made.tick())
    return made


def made(run: dg.RunRequest) -> set[str]:
    """Names of the assets of a run."""
    return {key.to_user_string() for key in run.asset_selection or ()}


def test_the_first_sight_and_a_quiet_tick_start_nothing() -> None:
    desk = Desk()
    assert "1 (" in str(desk.tick())
    assert str(desk.tick()).endswith("is still in force.")


def test_before_anything_is_applied_there_is_nothing_to_see() -> None:
    desk = Desk(applied=False)
    assert "daybook config apply" in str(desk.tick())
    assert not desk.cursor


def test_a_feature_starts_its_measure_and_what_is_made_of_it(desk: Desk) -> None:
    (run,) = desk.change(features={"correlation_span_weeks": 52})
    assert (run.job_name, run.partition_key) == ("recalculate", "2024-03-08")
    assert made(run) == {"correlation", "covariance"}
    assert {key.asset_key.to_user_string() for key in run.asset_check_keys or ()} == {"correlation", "covariance"}
    assert run.tags[CONFIGURATION_TAG] == desk.settings.content_hash()
    assert run.tags[CHANGED_TAG] == "features.correlation_span_weeks"


def test_a_vendor_starts_everything_that_is_made_of_its_prices(desk: Desk) -> None:
    (run,) = desk.change(data={"vendor": {"seed": 2}})
    assert made(run) == {key.to_user_string() for asset in CALCULATED for key in asset.keys}
    assert len(made(run)) == 20


def test_stitching_is_drawn_again_and_nothing_else(desk: Desk) -> None:
    (run,) = desk.change(data={"prices": {"stitching": "ratio"}})
    assert made(run) == {"adjusted_prices"}


def test_a_threshold_of_a_rule_judges_again_and_makes_nothing(desk: Desk) -> None:
    (run,) = desk.change(symbols={"defaults": {"max_silent_sessions": 5}})
    assert made(run) == set()
    assert {key.asset_key.to_user_string() for key in run.asset_check_keys or ()} == {"raw_bars", "raw_multiple_prices"}


def test_capital_starts_signals_and_the_backtests_of_what_trades(desk: Desk) -> None:
    signals, backtest = desk.change(trading={"strategies": ["trend"], "capital": {"capital_base": 5e6}})
    assert made(signals) == {"forecasts", "optimal_positions"}
    assert (backtest.job_name, backtest.partition_key, made(backtest)) == ("backtest", None, {"backtests/trend"})


def test_a_limit_is_the_next_closes(desk: Desk) -> None:
    said = desk.change(risk={"max_daily_loss_fraction": 0.04})
    assert "changed: risk.max_daily_loss_fraction. Left to the next close: collecting, orders." in str(said)


def test_a_setting_without_effect_says_why(desk: Desk) -> None:
    said = desk.change(operations={"runs": {"wait_seconds": 5}})
    assert "operations.runs.wait_seconds starts nothing: how runs wait" in str(said)


def test_the_number_alone_starts_nothing(desk: Desk) -> None:
    desk.number = 9
    assert "9 (" in str(desk.tick())
    assert str(desk.tick()).endswith("is still in force.")


def test_a_configuration_that_comes_back_starts_again_and_a_repeated_tick_does_not(desk: Desk) -> None:
    before = desk.cursor
    (first,) = desk.change(features={"correlation_span_weeks": 52})
    again = Desk(settings=desk.settings, number=2, cursor=before)  # died before its cursor was kept
    (repeated,) = again.tick()
    assert repeated.run_key == first.run_key
    (back,) = desk.change()
    (forth,) = desk.change(features={"correlation_span_weeks": 52})
    assert len({first.run_key, back.run_key, forth.run_key}) == 3


def test_what_cannot_be_read_starts_nothing_and_is_not_taken_for_a_change(desk: Desk) -> None:
    before, desk.wrong = desk.cursor, "risk.max_daily_loss_fraction is 5, but must be at most 1."
    assert "so nothing is started: risk.max_daily_loss_fraction is 5" in str(desk.tick())
    assert desk.cursor == before
    desk.wrong = ""
    assert str(desk.tick()).endswith("is still in force.")


@pytest.mark.parametrize("environment", ["development", "paper"])
def test_a_signed_session_stands_outside_of_development(environment: str) -> None:
    desk = Desk(settings=with_(environment=environment), ledger=Signatures(FRIDAY))
    desk.tick()
    found = desk.change(environment=environment, features={"volatility_span_sessions": 30})
    if environment == "development":
        assert [run.partition_key for run in found] == ["2024-03-08"]  # type: ignore[union-attr]
    else:
        assert "2024-03-08 is signed and stands as it was signed; the next close uses" in str(found)
        assert "daybook close --restate --session 2024-03-08" in str(found)


def test_without_prices_there_is_nothing_to_make_again() -> None:
    desk = Desk(frames=MemoryFrames())
    desk.tick()
    assert "No session has prices yet" in str(desk.change(features={"volatility_span_sessions": 30}))


def test_a_run_of_each_kind_can_be_carried_out(desk: Desk) -> None:
    """Dagster finds the steps and the checks, and no others, in the job that is named."""
    runs = [
        *desk.change(features={"correlation_span_weeks": 52}),
        *desk.change(symbols={"defaults": {"max_silent_sessions": 5}}),
        *desk.change(trading={"strategies": ["trend"], "capital": {"capital_base": 5e6}}),
    ]
    for run in runs:
        assert isinstance(run, dg.RunRequest)
        assert run.partition_key is None or SESSIONS.has_partition_key(run.partition_key)
        job = defs.resolve_job_def(str(run.job_name)).get_subset(
            asset_selection=set(run.asset_selection or ()), asset_check_selection=set(run.asset_check_keys or ())
        )
        layer = job.asset_layer
        assert {key.to_user_string() for key in layer.selected_asset_keys} == made(run)
        assert set(layer.asset_graph.asset_check_keys) == set(run.asset_check_keys or ())
