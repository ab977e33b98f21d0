"""The sweep job, run in process on made-up prices: what it shows, and what it keeps when it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.sweeps import variants
from pipelines.backtesting import Factory
from pipelines.settings import Place
from pipelines.sweeping import Searches
from trading.backtest.specification import Backtest, Choice, overridden
from trading.config.models import DeskSettings

SOURCE = Choice(name="made_up", parameters={"sessions": 700})
STRATEGY = """
name = "quick"
volatility_target_percent = 20.0
[rules.quick]
rule = "ewmac"
parameters = { fast = 8, slow = 32 }
scalar = 5.3
weight = 1.0
"""
BUFFERS, CAPS = [0.05, 0.3], [11.0, 14.0, 20.0]


@pytest.fixture
def where(tmp_path: Path) -> Place:
    """A home with one strategy, which does not trade."""
    (tmp_path / "home" / "strategies").mkdir(parents=True)
    (tmp_path / "home" / "strategies" / "quick.toml").write_text(STRATEGY)
    return Place(tmp_path / "home", "local", tmp_path / "backups")


def ran(where: Place, **config: Any) -> tuple[dg.ExecuteInProcessResult, dict[str, Any], list[str]]:
    """A run of the job, what it showed, and what it logged."""
    given = {"strategy": "quick", "workers": 1, "capital": 1e6, **config}
    found = dg.Definitions(
        [variants],
        jobs=[dg.define_asset_job("sweep_job", selection=[variants], executor_def=dg.in_process_executor)],
        resources={
            "sweeps": dg.ResourceDefinition.hardcoded_resource(Searches(where, SOURCE)),
            "desk": dg.ResourceDefinition.hardcoded_resource(DeskSettings()),
        },
    ).resolve_job_def("sweep_job")
    with dg.DagsterInstance.ephemeral() as instance:
        run = {"ops": {"sweeps": {"config": given}}}
        result = found.execute_in_process(run_config=run, instance=instance, raise_on_error=False)
        said = [entry.user_message for entry in instance.all_logs(result.run_id)]
        said += [str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure]
    if result.success:
        (made,) = result.asset_materializations_for_node("sweeps")
        return result, dict(made.metadata), said
    failed = next(event.step_failure_data for event in result.all_events if event.is_step_failure)
    return result, dict(failed.user_failure_data.metadata if failed.user_failure_data else {}), said


def grid(caps: list[float]) -> list[dict[str, Any]]:
    return [{"path": "buffer.fraction", "values": BUFFERS}, {"path": "forecasts.cap", "values": caps}]


def counts(shown: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(shown[name].value for name in ("variants", "computed", "known", "left"))


def test_a_grid_shows_its_best_variants_its_heat_map_and_its_odds(where: Place) -> None:
    result, shown, said = ran(where, axes=grid(CAPS))
    assert result.success
    assert counts(shown) == (6, 6, 0, 0)
    assert shown["heat map"].value.startswith("![heat map](data:image/png;base64,")
    assert 0 <= shown["deflated Sharpe ratio of the best"].value <= 1
    assert 0 <= shown["probability of backtest overfitting"].value <= 1
    assert shown["trials that count"].value == 6
    assert "6 of 6 variants" in said
    table = [record.data for record in shown["best variants"].records]
    strategy = Searches(where, SOURCE).strategy("quick")
    with Factory.open(where, SOURCE) as factory:
        alone = {
            (buffer, cap): factory.run(
                Backtest(
                    strategy=overridden(strategy, {"buffer.fraction": buffer, "forecasts.cap": cap}), capital_base=1e6
                )
            ).statistics["net_percent"]["sharpe"]
            for buffer in BUFFERS
            for cap in CAPS
        }
    expected = sorted(alone, key=lambda each: -alone[each])
    assert [(row["buffer.fraction"], row["forecasts.cap"]) for row in table] == expected
    assert [row["net_percent.sharpe"] for row in table] == [round(alone[each], 4) for each in expected]


def test_one_that_is_stopped_fails_with_a_sentence_and_keeps_what_was_done(where: Place) -> None:
    ran(where, axes=grid(CAPS[:2]))
    result, shown, said = ran(where, axes=grid(CAPS), deadline_seconds=1e-6)
    assert not result.success
    assert any(
        "the deadline of 1e-06 s passed, after 4 of 6 items. Run it again to do the rest." in one for one in said
    )
    assert counts(shown) == (6, 0, 4, 2)
    assert len(shown["best variants"].records) == 4
    assert "trials that count" not in shown
    again, rest, _ = ran(where, axes=grid(CAPS))
    assert again.success
    assert counts(rest) == (6, 2, 4, 0)


def test_random_variants_have_no_heat_map_and_the_best_twenty_are_shown(where: Place) -> None:
    result, shown, _ = ran(where, axes=[{"path": "buffer.fraction", "low": 0.0, "high": 0.5}], random=25, seed=3)
    assert result.success
    assert counts(shown) == (25, 25, 0, 0)
    assert "heat map" not in shown
    assert len(shown["best variants"].records) == 20


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"strategy": "quik", "axes": grid(CAPS)}, "strategy quik is unknown. Did you mean quick?"),
        ({"axes": []}, "sweep: axes"),
        ({"axes": [{"path": "buffer.fracton", "values": [0.1]}]}, "fracton"),
        ({"axes": [{"path": "buffer.fraction", "low": 0.0, "high": 1.0}]}, "a grid needs values"),
        ({"axes": grid(CAPS), "random": 5, "optuna": 5}, "random and optuna are two ways to search"),
        ({"axes": grid(CAPS), "first": "2020-13-01"}, "is not a date"),
        ({"axes": grid(CAPS), "workers": 1, "dask": "tcp://nowhere:1"}, "Leave one of them out"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(where: Place, config: dict[str, Any], sentence: str) -> None:
    result, _, _ = ran(where, **config)
    assert not result.success
    failure = next(event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert sentence in str(failure.error)
