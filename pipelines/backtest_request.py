"""`daybook backtest`: from what was typed to a backtest, and from its outcome to an answer and files.

Belongs here: choosing strategy, source and capital, and writing curves and positions. Does not belong here: running
(`backtesting.py`), or printing (`commands/`). Nothing here imports pandas or Dagster: the answer must come at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.backtesting import Demand, Factory, Outcome, listing
from pipelines.settings import Place, check_strategy, read_settings, strategy_file
from trading.backtest.result import Result
from trading.backtest.specification import Backtest, Choice, overridden, parsed_overrides, parsed_value
from trading.config.strategies import StrategySettings, sees_the_future
from trading.errors import UsageError

CURVES = ("gross_percent", "costs_percent", "net_percent")
FORMATS = (".parquet", ".csv")


@dataclass(frozen=True, slots=True)
class Words:
    """What was typed after `daybook backtest`."""

    strategy: str
    vendor: str | None = None
    source: Path | None = None
    instruments: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    capital_base: float | None = None
    overrides: tuple[str, ...] = ()
    costs: str | None = None
    decided_by: str | None = None
    parts: tuple[str, ...] = ()
    engine: str | None = None
    seed: int = 0
    plugins: tuple[str, ...] = ()
    look_ahead_refused: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A backtest and where its panel comes from."""

    backtest: Backtest
    source: Choice
    plugins: tuple[str, ...]


def asked(where: Place, words: Words, *, kept: bool = True) -> Asked:
    """What was typed as a backtest. `kept`: panels are kept as files under the home. Raises UsageError, ConfigError,
    WrongSpecification."""
    strategy = overridden_strategy(where, words.strategy, words.overrides, words.plugins)
    settings, chosen = read_settings(where), chosen_parts(words)
    target = strategy.volatility_target_percent
    target = settings.capital.volatility_target_percent if target is None else target
    own = settings.capital.capital_base * strategy.capital_share
    capital = next(given for given in (words.capital_base, strategy.capital_base, own) if given is not None)
    backtest = Backtest(
        strategy=strategy.model_copy(update={"volatility_target_percent": target}),
        instruments=words.instruments,
        first=words.first,
        last=words.last,
        capital_base=float(capital) if isinstance(capital, int) else capital,
        base_currency=strategy.base_currency or settings.capital.base_currency,
        **chosen,
        seed=words.seed,
        look_ahead="refused" if words.look_ahead_refused else "allowed",
    )
    return Asked(backtest, chosen_source(where, words.vendor, words.source, kept=kept), words.plugins)


PARTS = {"costs": "settings", "decided_by": "rules", "engine": "daybook"}  # what there is without a choice


def chosen_parts(words: Words) -> dict[str, Any]:
    """The registered parts that were typed, with parameters from texts like `costs.per_contract_base=2`.

    Raises UsageError on a kind that is none, and on parameters of what takes none.
    """
    names = {"costs": words.costs, "decided_by": words.decided_by, "engine": words.engine}
    given: dict[str, dict[str, Any]] = {kind: {} for kind in PARTS}
    for text in words.parts:
        path, equals, value = text.partition("=")
        kind, dot, parameter = path.strip().partition(".")
        if not equals or not dot or not parameter or kind not in PARTS:
            known = ", ".join(PARTS)
            raise UsageError(
                f"--part {text!r} is not KIND.PARAMETER=VALUE with a kind of {known}. "
                "Write it like costs.per_contract_base=2."
            )
        given[kind][parameter] = parsed_value(value)
    for kind in ("costs", "decided_by"):
        if given[kind] and names[kind] in (None, PARTS[kind]):
            option = kind.replace("_", "-")
            raise UsageError(f"--part {kind}.{next(iter(given[kind]))} needs a part: name it with --{option} NAME.")
    own = {kind: PARTS[kind] if name is None else name for kind, name in names.items()}
    return {kind: {"name": own[kind], "parameters": given[kind]} for kind in PARTS}


def overridden_strategy(
    where: Place, name: str, overrides: Sequence[str], plugins: Sequence[str] = ()
) -> StrategySettings:
    """A strategy by name or file, with settings changed by texts like `buffer.fraction=0.2`. Its rules may be those of
    the modules `plugins`."""
    strategy = strategy_file(name, where, plugins)
    if not overrides:
        return strategy
    changed = overridden(strategy, parsed_overrides(overrides))
    check_strategy(changed, plugins)
    return changed


def chosen_source(where: Place, vendor: str | None, source: Path | None, *, kept: bool = True) -> Choice:
    """Files of a vendor in place, or else the desk's own store. Raises UsageError."""
    if vendor is None and source is None:
        own = {"home": str(where.home), "deployment": where.deployment, "kept": kept}
        return Choice(name="store", parameters=own)
    if vendor not in (None, "pysystemtrade"):
        raise UsageError(
            f"a backtest cannot read the files of vendor {vendor} in place. Load them first (`daybook load --vendor "
            f"{vendor}`), and leave --vendor out."
        )
    if source is None:
        raise UsageError("vendor pysystemtrade reads files: name their folder with --source.")
    if not source.is_dir():
        raise UsageError(f"--source {source}: there is no such folder. Name the one that holds adjusted_prices_csv.")
    panels = {"kept": str(where.home / "cache" / "panels")} if kept else {}
    return Choice(name="csv", parameters={"folder": str(source.resolve()), **panels})


def run(
    where: Place, words: Words, demand: Demand, curve: Path | None = None, positions: Path | None = None,
    *, kept: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Runs what was typed and returns the answer; writes the curve and the positions where a file is named.

    `kept=False` reads prices anew. `seconds` counts from here to the answer, files written.
    """
    began = time.monotonic()
    for file in (curve, positions):
        _refuse_format(file)
    request = asked(where, words, kept=kept)
    with Factory.open(where, request.source, plugins=request.plugins) as factory:
        outcome = factory.run(request.backtest, demand)
    if curve is not None:
        write_table(curve, curve_columns(outcome.result))
    if positions is not None:
        write_table(positions, position_columns(outcome.result))
    return answer(request, outcome, time.monotonic() - began, {"curve": curve, "positions": positions})


def answer(request: Asked, outcome: Outcome, seconds: float, files: Mapping[str, Path | None]) -> dict[str, Any]:
    """What `--json` prints."""
    record, result = outcome.kept.record, outcome.result
    return {
        "strategy": request.backtest.strategy.name,
        "instruments": list(result.instruments),
        "first": str(result.sessions[0]),
        "last": str(result.sessions[-1]),
        "capital_base": request.backtest.capital_base,
        "base_currency": request.backtest.base_currency,
        "key": outcome.key,
        "cached": outcome.cached,
        "seconds": round(seconds, 4),
        "data_version": record.data_version,
        "code_version": record.code_version,
        "sees_the_future": list(sees_the_future(request.backtest.strategy)),
        **{name: str(file) for name, file in files.items() if file is not None},
        "statistics": {name: dict(found) for name, found in outcome.statistics.items()},
    }


def curve_columns(result: Result) -> dict[str, Any]:
    """Session, gross, costs and net percent of capital."""
    return {"session": result.sessions, **{name: result.curves[name] for name in CURVES}}


def position_columns(result: Result) -> dict[str, Any]:
    """Session and contracts decided by instrument."""
    return {"session": result.sessions, **dict(zip(result.instruments, result.positions.T, strict=True))}


def prewarm(where: Place, words: Words) -> dict[str, Any]:
    """Compiles the kernels, and makes the panel of what was typed, if anything was; returns seconds by stage."""
    if not words.strategy:
        return {"prewarmed": "every kernel", "computing": compiled_kernels(where)}
    request = asked(where, words)
    with Factory.open(where, request.source, plugins=request.plugins) as factory:
        return {"prewarmed": request.backtest.strategy.name, **factory.prewarm(request.backtest)}


def compiled_kernels(where: Place) -> float:
    """Compiles what strategies and limits use, on prices out of a seed, and keeps it on disk for all later processes;
    seconds."""
    from trading.backtest.engine import bench_of, evaluate, result, sizing_of
    from trading.backtest.simulated import simulated_panel
    from trading.risk.rehearsal import rehearse

    began, panel = time.monotonic(), simulated_panel(sessions=800)
    mine = {"instruments": [], "portfolio": {"weights": {}}}
    shipped = strategy_file("chapter15", where).model_dump()
    for changes in KERNEL_USERS:
        strategy = StrategySettings.model_validate(_over(_over(shipped, mine), changes))
        result(evaluate(bench_of(panel, strategy), strategy, sizing_of(strategy, 1e6)))
    rehearse()
    return time.monotonic() - began


# Settings that use different kernels: the reference's, the sound ones, and each estimate.
_MIXED_RULES: dict[str, Any] = {
    "a": {"rule": "breakout", "parameters": {"lookback": 20}, "weight": 0.4, "scalar": "estimated"},
    "b": {"rule": "mean_reversion", "weight": 0.3, "scalar": 1.0},
    "c": {"rule": "acceleration", "weight": 0.3, "scalar": 1.0},
}
KERNEL_USERS: tuple[dict[str, Any], ...] = (
    {"risk_overlay": {"normal_fraction": 1.5, "shocked_fraction": 3.0}},
    {"volatility": {"method": "robust"}, "costs": {"method": "sharpe"}, "portfolio": {"multiplier": "estimated"}},
    {
        "volatility": {"method": "simple"}, "rules": _MIXED_RULES, "forecasts": {"multiplier": "estimated"},
        "execution": {"fills": "when_traded", "rates": "session", "start": "flat"},
        "costs": {"rolls": "traded", "first_cost": "kept", "deflator": "none", "commission": "sum"},
    },
)  # fmt: skip


def _over(under: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in upper.items():
        both = isinstance(value, Mapping) and value and isinstance(merged.get(key), Mapping) and key != "rules"
        merged[key] = _over(merged[key], value) if both else value
    return merged


def look_ahead(where: Place, words: Words, cuts: int) -> dict[str, Any]:
    """Cuts the data after random sessions, Fridays among them, and compares what was known before; `findings` are
    sentences, and none is good. An option that sees the future by what it is counts even where no cut showed it: some
    bite on few sessions only."""
    from trading.backtest.look_ahead import of_backtest

    request = asked(where, words)
    with Factory.open(where, request.source, plugins=request.plugins) as factory:
        decided_by, model = factory.workshop.given(request.backtest)
        known = factory.workshop.rules(request.backtest)
        found = of_backtest(factory.source, request.backtest, cuts, decided_by=decided_by, model=model, known=known)
    shown = {option for finding in found for option in finding.options}
    unseen = [option for option in sees_the_future(request.backtest.strategy) if option not in shown]
    sentences = [finding.sentence() for finding in found]
    sentences += [f"{option} sees the future by what it is; none of these cuts showed it." for option in unseen]
    return {"strategy": request.backtest.strategy.name, "cuts": cuts, "ok": not sentences, "findings": sentences}


def parts(plugins: Sequence[str]) -> dict[str, Any]:
    """What `--list` prints: parts a backtest can be made of, and the forecasting rules, those of plugins among them."""
    from pipelines.plugins import plugin_modules, rules_of

    found = [
        {"name": name, "description": rule.description.strip(), "parameters": rule.parameters.model_json_schema()}
        for name, rule in sorted(rules_of(plugin_modules(plugins, installed=True)).items())
    ]
    return {"parts": listing(plugins), "rules": found}


# --- files ------------------------------------------------------------------------------------------------------------
def write_table(file: Path, columns: Mapping[str, Any]) -> None:
    """Writes columns to a .parquet or .csv file, whole or not at all. Raises UsageError."""
    import pyarrow as pa

    arrays = {name: _array(values) for name, values in columns.items()}
    draft = file.with_name(f".{file.name}.new")
    try:
        _write(pa.table(arrays), draft, file.suffix)
        draft.replace(file)
    except OSError as cause:
        draft.unlink(missing_ok=True)
        reason = cause.strerror or cause
        raise UsageError(f"{file} cannot be written: {reason}. Name a file in a folder you may write to.") from cause


def _write(table: Any, draft: Path, suffix: str) -> None:
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, draft)
    else:
        import pyarrow.csv as text

        text.write_csv(table, draft, text.WriteOptions(quoting_style="none"))


def _array(values: Any) -> Any:
    import pyarrow as pa

    array = np.asarray(values)
    return pa.array(array, from_pandas=True) if array.dtype.kind == "f" else pa.array(array)


def _refuse_format(file: Path | None) -> None:
    if file is not None and file.suffix not in FORMATS:
        raise UsageError(f"{file}: unknown format {file.suffix!r}. Name a file that ends in .parquet or .csv.")


def told(say: Callable[[str], None]) -> Callable[[int, int, str], None]:
    """Progress as lines."""
    return lambda done, total, what: say(f"{done} of {total}: {what}")
