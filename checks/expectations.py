"""The second layer of data quality: Great Expectations over prices, reference data and the book.

Belongs here: turning the suites of `checks/suites/` (plain data) into asset checks, and running them. Does not belong
here: a gate of the close; those are our own rules, which cost a hundredth of the import alone.

Each suite file names an asset, where its rows are read from (`frame`: the frame store, `reference`: the reference
data) and its expectations: a name, Great Expectations' type and arguments, and how grave a failure is. All suites run
in one step, because they share one Data Docs site and an import of several seconds.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from trading.errors import DatasetNotFound
from trading.frames import DATASETS, to_pandas
from trading.ports import FrameStore, ReferenceStore

SUITES = Path(__file__).parent / "suites"
DOCS_FOLDER = "data_docs"
_COLUMN_ARGUMENTS = ("column", "column_A", "column_B")


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation: Great Expectations' type and arguments under our own name."""

    name: str
    type: str
    severity: str
    kwargs: Mapping[str, Any]

    def columns(self) -> list[str]:
        """The columns it looks at."""
        return [self.kwargs[name] for name in _COLUMN_ARGUMENTS if name in self.kwargs] + list(
            self.kwargs.get("column_list", ())
        )


@dataclass(frozen=True, slots=True)
class Suite:
    """The expectations on one asset, read from the frame store or from the reference data."""

    asset: str
    reads: str
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class Met:
    """What became of an expectation: passed, failed or not applicable, and Great Expectations' numbers."""

    outcome: str
    detail: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@lru_cache(maxsize=1)
def suites() -> tuple[Suite, ...]:
    """Every suite of `checks/suites/`, by file name."""
    return tuple(_suite(json.loads(path.read_text("utf-8"))) for path in sorted(SUITES.glob("*.json")))


def frame_of(suite: Suite, frames: FrameStore, reference: ReferenceStore, on: date) -> pd.DataFrame:
    """The rows a suite looks at, all history; none where nothing was ever written."""
    if suite.reads == "reference":
        return pd.DataFrame([asdict(instrument) for instrument in reference.instruments(on).values()])
    try:
        return to_pandas(frames.history(DATASETS[suite.asset], through=on))
    except DatasetNotFound:
        return pd.DataFrame()


def inapplicable(expectation: Expectation, frame: pd.DataFrame) -> str:
    """Why an expectation cannot be judged on these rows; empty if it can."""
    if frame.empty:
        return "no rows"
    valueless = [name for name in expectation.columns() if name not in frame or frame[name].isna().all()]
    return f"column {valueless[0]} is absent or has no value" if valueless else ""


def validate(found: Mapping[str, pd.DataFrame], docs: Path) -> dict[tuple[str, str], Met]:
    """Runs the suites of the assets `found` over their rows and builds Data Docs into the folder `docs`.

    Returns what became of each expectation, by asset and name.
    """
    met: dict[tuple[str, str], Met] = {}
    judged: list[Suite] = []
    for suite in (suite for suite in suites() if suite.asset in found):
        why_not = {each.name: inapplicable(each, found[suite.asset]) for each in suite.expectations}
        met |= {(suite.asset, name): Met("not applicable", said) for name, said in why_not.items() if said}
        kept = tuple(each for each in suite.expectations if not why_not[each.name])
        if kept:
            judged.append(Suite(suite.asset, suite.reads, kept))
    context = _context(docs)
    for suite in judged:
        met |= _judge(context, suite, found[suite.asset])
    context.build_data_docs()
    return met


def _context(docs: Path) -> Any:
    """An ephemeral Great Expectations context with one Data Docs site on disk. It sends nothing anywhere."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # has to be set before the import
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    for site in context.get_site_names():
        context.delete_data_docs_site(site)
    backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    context.add_data_docs_site(
        "desk", {"class_name": "SiteBuilder", "store_backend": backend, "site_index_builder": index}
    )
    return context


def _judge(context: Any, suite: Suite, frame: pd.DataFrame) -> dict[tuple[str, str], Met]:
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    source = context.data_sources.add_pandas(suite.asset)
    batch = source.add_dataframe_asset(suite.asset).add_batch_definition_whole_dataframe("all")
    held = context.suites.add(gx.ExpectationSuite(name=suite.asset))
    for each in suite.expectations:
        held.add_expectation_configuration(
            ExpectationConfiguration(type=each.type, kwargs=dict(each.kwargs), meta={"name": each.name})
        )
    held.save()
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=suite.asset, data=batch, suite=held))
    checkpoint = context.checkpoints.add(gx.Checkpoint(name=suite.asset, validation_definitions=[definition]))
    answer = checkpoint.run(batch_parameters={"dataframe": frame})
    (run,) = answer.run_results.values()
    return {(suite.asset, each.expectation_config.meta["name"]): _met(each) for each in run.results}


def _met(answer: Any) -> Met:
    if answer.exception_info and answer.exception_info.get("raised_exception"):
        return Met("failed", str(answer.exception_info.get("exception_message")))
    numbers = {
        name: answer.result[name]
        for name in ("element_count", "unexpected_count", "unexpected_percent", "observed_value")
        if isinstance(answer.result.get(name), int | float | str)
    }
    if answer.success:
        return Met("passed", "met", numbers)
    return Met("failed", f"unexpected: {answer.result.get('partial_unexpected_list', numbers)}"[:300], numbers)


def result(suite: Suite, expectation: Expectation, met: Met, docs: Path) -> dg.AssetCheckResult:
    """What Dagster shows of one expectation."""
    grave = met.outcome == "failed" and expectation.severity == "error"
    return dg.AssetCheckResult(
        check_name=_name(expectation),
        asset_key=dg.AssetKey(suite.asset),
        passed=met.outcome == "passed",
        severity=dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN,
        description=met.detail if met.outcome != "not applicable" else f"not applicable: {met.detail}",
        metadata={
            "outcome": met.outcome,
            "Data Docs": dg.MetadataValue.url((docs / "index.html").resolve().as_uri()),
            **met.numbers,
        },
    )


def _name(expectation: Expectation) -> str:
    return f"expect_{expectation.name}"


def _suite(data: Mapping[str, Any]) -> Suite:
    expectations = tuple(Expectation(**each) for each in data["expectations"])
    return Suite(data["asset"], data["reads"], expectations)


def _spec(suite: Suite, expectation: Expectation) -> dg.AssetCheckSpec:
    arguments = ", ".join(f"{name} = {value}" for name, value in expectation.kwargs.items())
    return dg.AssetCheckSpec(
        _name(expectation),
        asset=dg.AssetKey(suite.asset),
        description=f"{expectation.type.replace('_', ' ')}: {arguments}",
        metadata={"severity": expectation.severity},
    )


@dg.multi_asset_check(
    name="expectations",
    specs=[_spec(suite, each) for suite in suites() for each in suite.expectations],
    can_subset=True,  # else none of these assets could be materialised alone
)
def expectations(
    context: dg.AssetCheckExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    reference: dg.ResourceParam[ReferenceStore],
    home: dg.ResourceParam[Path],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> Iterator[dg.AssetCheckResult]:
    """Reads the rows of every suite asked for once, runs it, and yields one result an expectation asked for.

    The whole site of Data Docs is built by a run of all suites; a part of them has a site of its own.
    """
    asked = {(key.asset_key.to_user_string(), key.name) for key in context.selected_asset_check_keys}
    chosen = [suite for suite in suites() if suite.asset in {asset for asset, _ in asked}]
    docs = home / (DOCS_FOLDER if len(chosen) == len(suites()) else f"{DOCS_FOLDER}_part")
    today = clock().date()
    met = validate({suite.asset: frame_of(suite, frames, reference, today) for suite in chosen}, docs)
    context.log.info(f"Data Docs: {docs / 'index.html'}")
    for suite in chosen:
        for each in suite.expectations:
            if (suite.asset, _name(each)) in asked:
                yield result(suite, each, met[suite.asset, each.name], docs)


CHECKS = [expectations]
