"""What a setting does, where its reader is: sessions, measures, rules, backends, environments.

Belongs here: one desk whose setting is another. Does not belong here: bad configurations
(`test_bad_configurations.py`), or how one comes into force (`test_config_commands.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from assets.analytics import STEPS
from assets.backups import RetentionConfig
from assets.layers import Sources
from assets.raw import fetch, followed
from pipelines import deployments, wiring
from pipelines.brokers import statement_folder
from pipelines.configuration import history
from pipelines.desk import followed_groups
from pipelines.in_force import read_document_of, tags_of
from pipelines.place import located, place, revealed
from pipelines.settings import read_section, read_settings, write_desk
from resources.memory import MemoryFrames, MemoryReference, MemoryVendor
from resources.vended import ProcessCacheResource, RedisCacheResource
from resources.vendors.simulated import SimulatedVendor
from trading.config.data import DataSettings, RetentionSettings, Universe
from trading.config.features import FeatureSettings, TrainingUniverse
from trading.config.models import DeskSettings
from trading.config.operations import OperationSettings
from trading.config.settings import Secret
from trading.config.symbol_fields import SymbolSettings
from trading.config.trading import BrokerSettings
from trading.continuity.retention import Retention
from trading.errors import ConfigError
from trading.frames import DAILY_PRICES, DATASETS, RAW_BARS, ROLL_GAPS, empty, to_table
from trading.market.instruments import Instrument
from trading.ports import Cache, Span
from trading.quality.examination import all_rules
from trading.quality.rule import RuleContext

FRIDAY = date(2024, 3, 8)
NOW = datetime(2024, 3, 9, tzinfo=UTC)
SECRET = "hunter2-and-more"


def sources(desk: DeskSettings, frames: MemoryFrames | None = None) -> Sources:
    return Sources(frames or MemoryFrames(), MemoryReference(), desk, NOW)


# --- what is followed and kept ----------------------------------------------------------------------------------------
def test_bars_of_other_time_frames_are_not_kept(tmp_path: Path) -> None:
    reference = wiring.reference(place(tmp_path))
    vendor = SimulatedVendor(reference)
    kept = {}
    for timeframes in (("daily",), ("intraday",), ("daily", "intraday")):
        desk = DeskSettings(data=DataSettings(timeframes=timeframes))
        rows = fetch(RAW_BARS, (FRIDAY, FRIDAY), vendor, Sources(MemoryFrames(), reference, desk, NOW)).placed
        kept[timeframes] = sorted(set(rows["frequency"].to_pylist())), rows.num_rows
    assert [names for names, _ in kept.values()] == [["daily"], ["intraday"], ["daily", "intraday"]]
    assert kept["daily",][1] + kept["intraday",][1] == kept["daily", "intraday"][1]


def test_excluded_instruments_are_not_asked_for() -> None:
    vendor = MemoryVendor({"raw_bars": pa.table({"instrument": ["CORN", "GOLD", "US10"]})})
    assert followed(Universe(), vendor) is None
    assert followed(Universe(excluded=("GOLD",)), vendor) == ("CORN", "US10")
    assert followed(Universe(instruments=("CORN", "US10"), excluded=("GOLD",)), vendor) == ("CORN", "US10")
    bond = Instrument("US10", "Note", "CBOT", "USD", 1000.0, 0.01, "bonds", "bonds", "US")
    metal = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "metals", "US")
    reference = MemoryReference([bond, metal])
    desk = DeskSettings(data=DataSettings(universe=Universe(excluded=("GOLD",))))
    assert followed_groups(FRIDAY, reference, desk, vendor) == {"CBOT"}


# --- measures ---------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def prices() -> MemoryFrames:
    """Three made-up instruments over two years of weekdays: the same waves at other speeds."""
    sessions = pd.bdate_range("2022-03-07", FRIDAY)
    place = pd.Series(range(len(sessions)), dtype="float64")
    rows = pd.concat(
        pd.DataFrame({"instrument": code, "session": sessions, "price": 100 + (place % step) * step + place / 10})
        for code, step in (("CORN", 7.0), ("GOLD", 11.0), ("US10", 13.0))
    )
    missing = {name: None for name in DAILY_PRICES.schema.names if name not in rows}
    contracts = {name: 20240600 for name in missing if name.endswith("contract")}
    rows = rows.assign(**missing | contracts | {"stamp": rows["session"]})
    frames, span = MemoryFrames(), Span(sessions[0].date(), FRIDAY)
    frames.replace(DAILY_PRICES, to_table(rows, DAILY_PRICES), span)
    frames.replace(ROLL_GAPS, empty(ROLL_GAPS), span)
    return frames


def measured(name: str, features: FeatureSettings, frames: MemoryFrames) -> pd.DataFrame:
    step = next(each for each in STEPS if each.dataset.name == name)
    return step.calculate(sources(DeskSettings(features=features), frames), FRIDAY, FRIDAY)


def test_volatility_is_of_the_span_that_is_set(prices: MemoryFrames) -> None:
    rows = prices.history(DAILY_PRICES, through=FRIDAY).to_pandas().query("instrument == 'GOLD'").set_index("session")
    changes = rows["price"].astype("float64").diff()
    for span in (10, 60):
        found = measured("volatility", FeatureSettings(volatility_span_sessions=span), prices).set_index("instrument")
        expected = changes.ewm(span=span, min_periods=10).std().iloc[-1]
        assert found.loc["GOLD", "ewma_points"] == pytest.approx(expected, rel=1e-12)
    late = measured("volatility", FeatureSettings(volatility_span_sessions=100, volatility_min_sessions=1000), prices)
    assert late["ewma_points"].isna().all()


def test_correlations_are_of_the_training_universe(prices: MemoryFrames) -> None:
    two = FeatureSettings(training=TrainingUniverse(instruments=("CORN", "US10")))
    found = measured("correlation", two, prices)
    assert {*found["instrument_a"], *found["instrument_b"]} == {"CORN", "US10"}
    since = FeatureSettings(training=TrainingUniverse(since=date(2024, 2, 1)), correlation_min_weeks=10)
    assert measured("correlation", since, prices)["correlation"].isna().all(), "five weeks are not ten"
    assert measured("correlation", FeatureSettings(), prices)["correlation"].notna().all()


# --- rules ------------------------------------------------------------------------------------------------------------
def findings(rule: str, rows: pd.DataFrame, of: Callable[..., SymbolSettings], **more: Any) -> list[str]:
    dataset = DATASETS["raw_multiple_prices"]
    context = RuleContext(dataset, rows["session"].min().date(), FRIDAY, NOW, of=of, **more)
    (judged,) = [each for each in all_rules() if each.name == rule]
    return sorted(set(judged.judge(rows, context)["series"]))


def raw(code: str, values: list[float], last: str = "2024-03-08") -> pd.DataFrame:
    stamps = pd.bdate_range(end=last, periods=len(values))
    known = stamps.tz_localize("UTC")
    return pd.DataFrame(
        {
            "vendor": "v", "instrument": code, "label": stamps.astype("str"), "occurrence": 0, "stamp": stamps,
            "event_at": known, "session": stamps, "known_at": known, "loaded_at": known, "price": values,
            "price_contract": 20240500,
        }
    )  # fmt: skip


WAVE = [100.0 + place % 2 for place in range(58)]  # its usual change is 1 point


def of_gold(**settings: Any) -> Callable[..., SymbolSettings]:
    return lambda code, strategy=None: SymbolSettings(**settings) if code == "GOLD" else SymbolSettings()


def test_each_instrument_has_its_own_limit_of_spikes_and_jumps() -> None:
    away = pd.concat([raw(code, [*WAVE, 130.0, 100.0]) for code in ("CORN", "GOLD")], ignore_index=True)
    assert findings("spikes", away, of_gold()) == ["v/CORN", "v/GOLD"]
    assert findings("spikes", away, of_gold(max_spike=40.0)) == ["v/CORN"]
    gone = pd.concat([raw(code, [*WAVE, 100.0, 130.0]) for code in ("CORN", "GOLD")], ignore_index=True)
    assert findings("jumps", gone, of_gold()) == ["v/CORN", "v/GOLD"]
    assert findings("jumps", gone, of_gold(max_spike=40.0)) == ["v/CORN"]


def test_each_instrument_has_its_own_patience_and_its_own_largest_price() -> None:
    silent = pd.concat([raw(code, WAVE, "2024-02-29") for code in ("CORN", "GOLD")], ignore_index=True)
    assert findings("freshness", silent, of_gold()) == ["CORN", "GOLD"]
    assert findings("freshness", silent, of_gold(max_silent_sessions=6)) == ["CORN"]
    dear = pd.concat([raw(code, [*WAVE, 101.0]) for code in ("CORN", "GOLD")], ignore_index=True)
    assert findings("price_range", dear, of_gold()) == []
    assert findings("price_range", dear, of_gold(max_price_points=100.5)) == ["v/GOLD"]


# --- backends ---------------------------------------------------------------------------------------------------------
def desk_of(home: Path, text: str, deployment: str = "local") -> Any:
    home.mkdir(exist_ok=True)
    (home / "desk.toml").write_text(f"schema = 2\n{text}")
    return place(home, deployment)


def test_the_cache_is_as_large_as_is_set(tmp_path: Path) -> None:
    where = desk_of(tmp_path / "home", "[data.storage.cache]\nmax_entries = 7\nmax_bytes = 5000\n")
    found = deployments.cache_resource(where)
    assert isinstance(found, ProcessCacheResource)
    cache = found.adapter()
    for number in range(9):
        cache.set(str(number), b"x")
    assert cache.statistics().entries == 7
    cache.set("large", b"x" * 5001)
    assert cache.get("large") is None


def test_redis_is_used_as_is_set_and_its_address_stays_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """[data.storage.cache]
address = { env = "DESK_REDIS" }
writes = "write_behind"
[data.storage.ledger]
store = "sqlite"
[data.streaming]
max_connections = 3
buffer_messages = 11
timeout_seconds = 0.25
reconnect_first_seconds = 2.0
reconnect_longest_seconds = 9.0
"""
    where = desk_of(tmp_path / "home", text, "services")
    with pytest.raises(ConfigError, match="DESK_REDIS is not set"):
        deployments.cache_resource(where)
    monkeypatch.setenv("DESK_REDIS", f"redis://:{SECRET}@127.0.0.1:1/0")
    found = deployments.cache_resource(where)
    assert isinstance(found, RedisCacheResource)
    assert (found.writes, found.backlog, found.max_connections) == ("write_behind", 11, 3)
    assert (found.timeout_seconds, found.pause_seconds, found.longest_pause_seconds) == (0.25, 2.0, 9.0)
    assert SECRET not in repr(deployments.shown_cache(where)), "Dagster's UI shows settings"


@pytest.mark.parametrize("store", ["mongodb", "postgresql"])
def test_a_ledgers_address_is_where_the_settings_say(store: str, tmp_path: Path) -> None:
    text = f'[data.storage.ledger]\nstore = "{store}"\naddress = {{ file = "keys/address" }}\nmax_connections = 2\n'
    where = desk_of(tmp_path / "home", text)
    with pytest.raises(ConfigError, match=r"there is no file .*keys/address"):
        wiring.ledger(where)
    (tmp_path / "home" / "keys").mkdir()
    more = "?replicaSet=rs0" if store == "mongodb" else ""
    (tmp_path / "home" / "keys" / "address").write_text(f"{store}://anna:{SECRET}@127.0.0.1:1/desk{more}\n")
    health = wiring.ledger(where).health()
    assert not health.well
    assert "127.0.0.1:1" in f"{health.backend} {health.detail} {health.cure}"
    assert SECRET not in f"{health}"
    assert SECRET not in repr(deployments.shown_ledger(where))


def test_a_webhook_is_told_at_the_address_a_secret_refers_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = desk_of(tmp_path / "home", '[operations.notifier]\nwebhook = { env = "DESK_HOOK" }\n')
    settings = read_settings(where)
    with pytest.raises(ConfigError, match="DESK_HOOK is not set"):
        deployments.notifier_of(settings, where)
    monkeypatch.setenv("DESK_HOOK", f"https://hooks.example.org/{SECRET}")
    assert type(deployments.notifier_of(settings, where)).__name__ == "WebhookNotifier"
    assert SECRET not in settings.document()


def test_a_secret_of_a_file_is_its_text_without_the_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    assert revealed(Secret(file="token"), place(tmp_path)) == SECRET
    (tmp_path / "huge").write_bytes(b"x" * 20_000)
    with pytest.raises(ConfigError, match="huge"):
        revealed(Secret(file="huge"), place(tmp_path))


def test_snapshots_are_kept_as_is_set_and_as_a_run_asks() -> None:
    usual = RetentionSettings(newest=5, days=6, weeks=7, months=8)
    assert RetentionConfig().policy(usual) == Retention(5, 6, 7, 8)
    assert RetentionConfig(days=1).policy(usual) == Retention(5, 1, 7, 8)


# --- environments -----------------------------------------------------------------------------------------------------
PAPER = 'environment = "paper"\n'


def test_in_paper_files_are_not_in_force_until_they_are_applied(tmp_path: Path, daybook: Callable[..., Any]) -> None:
    home = tmp_path / "home"
    where = desk_of(home, f"{PAPER}[risk]\nmax_daily_loss_fraction = 0.04\n")
    with pytest.raises(ConfigError, match=r"no configuration is in force.*daybook config apply --reason"):
        read_settings(where)
    assert daybook("config", "apply", "--reason", "first", "--home", home).code == 0
    assert read_settings(where).risk.max_daily_loss_fraction == 0.04
    desk_of(home, f"{PAPER}[risk]\nmax_daily_loss_fraction = 0.03\n")
    assert read_settings(where).risk.max_daily_loss_fraction == 0.04, "a file that changed is not in force"
    (home / "desk.toml").write_text("this is no TOML")
    assert read_settings(where).risk.max_daily_loss_fraction == 0.04, "a broken file does not stall the day"


def test_a_desk_in_force_is_not_of_another_environment(
    tmp_path: Path, daybook: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    desk_of(home, PAPER)
    assert daybook("config", "apply", "--reason", "first", "--home", home).code == 0
    monkeypatch.setenv("DAYBOOK_ENVIRONMENT", "development")
    with pytest.raises(ConfigError, match=r"is 'development', and the configuration in force .* is of 'paper'"):
        read_settings(place(home))


def test_an_environment_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.authored import layers

    where = desk_of(tmp_path / "home", PAPER)
    assert [Path(each.file).name for each in layers(where)] == ["base.toml", "paper.toml", "local.toml", "desk.toml"]
    monkeypatch.setenv("DAYBOOK_ENVIRONMENT", "production")
    where = desk_of(tmp_path / "other", "")
    assert [Path(each.file).name for each in layers(place(where.home))] == [
        "base.toml", "production.toml", "local.toml", "desk.toml", "DAYBOOK_ENVIRONMENT",
    ]  # fmt: skip


SOUND = {
    "environment": "production",
    "data": {"vendor": {"name": "csv_folder"}},
    "trading": {"broker": {"name": "statement_file", "account": "U1"}, "reconciliation": {"owner": "anna"}},
}


def over(values: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    name, _, rest = path.partition(".")
    return {**values, name: over(values.get(name, {}), rest, value) if rest else value}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("data.vendor.name", "simulated", ["environment is production", "data.vendor.name is simulated"]),
        ("data.vendor.faults", ["spike"], ["environment is production", "data.vendor.faults is spike"]),
        ("trading.broker.name", "paper", ["environment is production", "trading.broker.name is paper"]),
        ("trading.broker.account", None, ["broker.name is statement_file", "trading.broker.account is not set"]),
        ("trading.reconciliation.owner", None, ["environment is production", "reconciliation.owner is not set"]),
        ("operations.notifier.webhook_url", "https://h.example", ["production", "operations.notifier.webhook_url"]),
        ("risk.max_daily_loss_fraction", 0.01, ["max_daily_loss_fraction (0.01)", "target_percent (20 % a year"]),
        ("risk.max_daily_loss_fraction", 0.6, ["max_daily_loss_fraction (0.6)", "environment is production"]),
    ],
)  # fmt: skip
def test_production_is_stricter_and_says_both_settings(path: str, value: Any, said: list[str]) -> None:
    assert DeskSettings.model_validate(SOUND).environment == "production"
    wrong = over(SOUND, path, value)
    with pytest.raises(ValidationError) as found:
        DeskSettings.model_validate(wrong)
    assert not [part for part in said if part not in str(found.value)], str(found.value)
    if not path.startswith("data.vendor.faults") and path != "trading.broker.account":
        assert DeskSettings.model_validate({**wrong, "environment": "paper"}).environment == "paper"
    DeskSettings.model_validate({**wrong, "environment": "development"})


def test_production_refuses_what_saw_the_future_and_more_capital_than_there_is(root: Path) -> None:
    from pipelines.authored import unchecked

    trend = unchecked(root / "config" / "strategies" / "trend.toml")
    seeing = trend.model_copy(update={"weekend_rows": "friday"})
    with pytest.raises(ValueError, match="strategy trend sees the future by weekend_rows"):
        DeskSettings.model_validate({**SOUND, "strategies": (seeing,)})
    twice = (trend, trend.model_copy(update={"name": "again"}))
    with pytest.raises(ValueError, match=r"capital_share of the strategies comes to 2 \(trend 1, again 1\)"):
        DeskSettings.model_validate({**SOUND, "strategies": twice})
    DeskSettings.model_validate({**SOUND, "environment": "paper", "strategies": twice})


def test_writing_into_a_file_of_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "desk.yaml").write_text("schema: 2\nrisk:\n  max_daily_loss_fraction: 0.04\n")
    assert read_settings(place(tmp_path)).risk.max_daily_loss_fraction == 0.04
    with pytest.raises(ConfigError, match="is YAML, which is not written into"):
        write_desk(place(tmp_path), {"risk": {"max_daily_loss_fraction": 0.03}})


# --- one section ------------------------------------------------------------------------------------------------------
def test_who_needs_one_section_does_not_look_at_the_others(tmp_path: Path) -> None:
    text = '[data.streaming]\nmax_connections = 7\n[trading]\nstrategies = ["nobody"]\n[symbols]\ntable = "gone.csv"\n'
    where = desk_of(tmp_path / "home", text)
    assert read_section(where, DataSettings).streaming.max_connections == 7
    with pytest.raises(ConfigError, match=r"gone\.csv"):
        read_settings(where)
    desk_of(tmp_path / "home", "[data.streaming]\nmax_connections = 0\n")
    with pytest.raises(ConfigError, match=r"desk\.toml:3: data\.streaming\.max_connections is 0"):
        read_section(where, DataSettings)


def test_a_section_of_what_was_applied_is_read_out_of_its_snapshot(tmp_path: Path, daybook: Callable[..., Any]) -> None:
    home = tmp_path / "home"
    where = desk_of(home, f"{PAPER}[operations.runs]\nwait_seconds = 3.0\n")
    with pytest.raises(ConfigError, match="no configuration is in force"):
        read_section(where, OperationSettings)
    assert daybook("config", "apply", "--reason", "first", "--home", home).code == 0
    desk_of(home, f"{PAPER}[operations.runs]\nwait_seconds = 4.0\n")
    (document,) = [file for file in (home / "config" / "documents").rglob("*") if file.is_file()]
    kept = document.read_bytes()
    document.unlink()
    assert read_section(where, OperationSettings).runs.wait_seconds == 3.0, "without the document of all sections"
    document.write_bytes(kept)
    for snapshot in (home / "config" / "snapshots").iterdir():
        snapshot.unlink()
    assert read_section(where, OperationSettings).runs.wait_seconds == 3.0, "without a snapshot: out of the document"


# --- a run keeps to the configuration it was asked for with ----------------------------------------------------------
def test_a_run_opens_the_configuration_it_carries(tmp_path: Path, daybook: Callable[..., Any]) -> None:
    home = tmp_path / "home"
    found: dict[str, DeskSettings] = {}

    @dg.asset
    def looked(desk: dg.ResourceParam[DeskSettings], cache: dg.ResourceParam[Cache]) -> None:
        found["desk"] = desk

    def run(tags: dict[str, str]) -> float:
        ports = deployments.resources(place(home))
        assert dg.materialize([looked], resources=ports, tags=tags, raise_on_error=True).success
        return found["desk"].risk.max_daily_loss_fraction

    applied = {}
    for fraction in (0.04, 0.03):
        where = desk_of(home, f"{PAPER}[risk]\nmax_daily_loss_fraction = {fraction}\n")
        assert daybook("config", "apply", "--reason", "as asked", "--home", home).code == 0
        applied[fraction] = tags_of(read_settings(where))
    assert run({}) == 0.03, "what is in force"
    assert run(applied[0.04]) == 0.04, "what was in force when it was asked for"
    assert run(applied[0.03]) == 0.03
    assert tags_of(DeskSettings()) == {}, "in development files are in force at once"


def test_a_run_carries_no_configuration_of_another_environment(tmp_path: Path, daybook: Callable[..., Any]) -> None:
    home, kept = tmp_path / "home", {}
    for environment in ("development", "paper"):
        where = desk_of(home, f'environment = "{environment}"\n[risk]\nmax_daily_loss_fraction = 0.04\n')
        assert daybook("config", "apply", "--reason", "as asked", "--home", home).code == 0
        kept[environment] = replace(where, configuration=read_settings(where).content_hash())
    assert read_settings(kept["paper"]).environment == "paper"
    for asked in (kept["development"], replace(kept["development"], environment="paper")):
        for read in (read_settings, lambda where: read_section(where, OperationSettings)):
            with pytest.raises(ConfigError, match=r"the run carries .* which is of development, .* is of paper"):
                read(asked)
    with pytest.raises(ConfigError, match="DAYBOOK_ENVIRONMENT is 'production'"):
        read_settings(replace(kept["paper"], environment="production"))
    desk_of(home, 'environment = "development"\n[risk]\nmax_daily_loss_fraction = 0.03\n')
    assert daybook("config", "apply", "--reason", "trying", "--home", home).code == 0
    with pytest.raises(ConfigError, match=r"the run carries .* which is of paper, .* is of development"):
        read_settings(kept["paper"])
    unkept = replace(kept["paper"], configuration="0" * 64)
    assert read_settings(unkept).risk.max_daily_loss_fraction == 0.03, "in development files count when it begins"


# --- paths ------------------------------------------------------------------------------------------------------------
def test_a_path_of_a_setting_stays_where_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, data, elsewhere = tmp_path / "home", tmp_path / "data", tmp_path / "elsewhere"
    for folder in (home, data, elsewhere):
        folder.mkdir()
    (home / "link").symlink_to(elsewhere)
    (data / "link").symlink_to(elsewhere)
    assert located("prices", place(home)) == home / "prices", "relative paths are below the home, wherever one works"
    assert located(str(elsewhere), place(home)) == elsewhere, "without roots an absolute path may be anywhere"
    monkeypatch.setenv("DAYBOOK_ROOTS", str(data))
    assert located(str(data / "prices"), place(home)) == data / "prices"
    for path in ("link", str(data / "link"), str(elsewhere), "../elsewhere", f"{data}/../elsewhere"):
        with pytest.raises(ConfigError, match=r"leads to .*elsewhere, which is not in"):
            located(path, place(home))


def test_prices_and_statements_are_not_read_through_a_link_out_of_the_home(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    where = desk_of(tmp_path / "home", '[data.vendor]\nname = "csv_folder"\nsource = "prices"\n')
    (where.home / "prices").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="prices leads to"):
        deployments.vendor_of(where, read_settings(where), MemoryReference())
    with pytest.raises(ConfigError, match="prices leads to"):
        statement_folder(where.home, BrokerSettings(statements="prices"))


@pytest.mark.parametrize("setting", ["data.vendor.source", "data.vendor.columns.time", "trading.reconciliation.owner"])
def test_a_password_is_refused_wherever_it_is_found_and_not_repeated(setting: str, tmp_path: Path) -> None:
    section, _, name = setting.rpartition(".")
    where = desk_of(tmp_path / "home", f'[{section}]\n{name} = "https://anna:{SECRET}@host/x"\n')
    with pytest.raises(ConfigError, match=f"{setting} holds a secret in the clear") as found:
        read_settings(where)
    assert SECRET not in str(found.value)


def test_compiled_configurations_are_kept_as_many_as_is_set(tmp_path: Path, daybook: Callable[..., Any]) -> None:
    """Those of the last minutes are left to whoever compiled them; what they were compiled from is kept for good."""
    home = tmp_path / "home"
    for number in range(1, 5):
        kept = "[data.retention]\nconfigurations = 2\n"
        where = desk_of(home, f"{PAPER}{kept}[risk]\nmax_daily_loss_fraction = 0.0{number}\n")
        for file in home.glob("config/snapshots/*"):
            os.utime(file, (1_000_000_000, 1_000_000_000))
        assert daybook("config", "apply", "--reason", "another", "--home", home).code == 0
    assert len(list(home.glob("config/snapshots/*.snapshot"))) == 2
    documents = [read_document_of(version.configuration, where) for version in history(where)]
    assert [each.risk.max_daily_loss_fraction for each in documents] == [0.01, 0.02, 0.03, 0.04]


def test_a_compiled_configuration_has_as_many_shards_as_is_set(tmp_path: Path, daybook: Callable[..., Any]) -> None:
    home = tmp_path / "home"
    of_gold = "[symbols.symbols.GOLD]\nmax_position_contracts = 7\n"
    for shards in (1, 5):
        where = desk_of(home, f"{PAPER}[operations.changes]\nshards = {shards}\n{of_gold}")
        assert daybook("config", "apply", "--reason", "laid out anew", "--home", home).code == 0
        snapshot = wiring.compiled_files(where).version().snapshot
        assert snapshot.shards == shards
        assert (snapshot.position_limit("GOLD"), snapshot.position_limit("CORN")) == (7, 500)
        assert sum(len(snapshot.shard(number)) for number in range(shards)) == len(snapshot)
