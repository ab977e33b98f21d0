"""Writes the pages of docs/reference/ from the code they are about: `make docs`. A test says when they are old.

Belongs here: laying out what the code says of itself. Does not belong here: anything a person has to write.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import asset_graph
import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from checks.expectations import suites
from pipelines.cli import main
from pipelines.risk_server.application import published
from pipelines.settings import Place, read_settings
from resources.vendors.simulated import FAULTS
from trading.config.ceilings import Ceilings
from trading.config.data import CsvColumns
from trading.config.models import DeskSettings
from trading.config.settings import Secret
from trading.config.strategies import ANY, SEES_THE_FUTURE, RuleSettings, StrategySettings
from trading.config.symbols import GroupOverrides
from trading.frames import DATASETS, Dataset
from trading.quality.examination import all_rules, rules_for
from trading.quality.rule import Rule, layer_of
from trading.risk.limit_table import rules as risk_rules
from trading.strategies.rule import rules as forecast_rules

DOCS = Path(__file__).resolve().parent
WIDTH = 96
NOTE = "*Written by `make docs` from the code. Change the code, not this page.*"
SECRET = "`{ env = 'NAME' }` or `{ file = 'path' }`"
ENVIRONMENT = {
    "DAYBOOK_HOME": "the desk's folder; `--home` wins over it; default `./var`",
    "DAYBOOK_DEPLOYMENT": "`local` (default: files only) or `services` (Redis is the cache); `--deployment` wins",
    "DAYBOOK_BACKUPS": "where snapshots go; default: the home's name with `-backups`, beside it",
    "DAYBOOK_SIGNING_KEY": "the key that signs closes; default: `keys/signing.pem` in the home, made when first used",
    "DAYBOOK_LIVE_KEYS": "the key ring of live orders, a folder of public keys; default: `keys/live` in the home",
    "DAYBOOK_LIVE_KEY": "the key that signs a live configuration: a file or a `pkcs11:` URI; `--key` wins over it",
    "DAYBOOK_PKCS11_MODULE": "the library of the token with that key",
    "DAYBOOK_PKCS11_PIN_FILE": "a file with the token's PIN, readable by its owner only",
    "DAYBOOK_PKCS11_PIN": "the PIN itself, where there is no such file",
    "DAYBOOK_ENVIRONMENT": "`development`, `paper` or `production`; default: what the files say, else `development`",
    "DAYBOOK_ROOTS": "folders, joined by `:`, that absolute paths of settings must be in; default: anywhere",
    **{
        f"DAYBOOK_MAX_{each.name.upper()}": f"ceiling: {each.name.replace('_', ' ')}; default {each.default:,}"
        for each in fields(Ceilings)
    },
    "REDIS_URL": "where Redis is, for deployment `services`, like `redis://host:6379/0`",
}


def pages() -> dict[str, str]:
    """Every generated file by its path below docs/."""
    made: Mapping[str, Callable[[], Iterator[str]]] = {
        "reference/commands.md": commands,
        "reference/settings.md": settings,
        "reference/strategies.md": strategies,
        "reference/datasets.md": datasets,
        "reference/rules.md": rules,
        "reference/jobs.md": jobs,
    }
    texts = {name: "\n".join(lines()).rstrip() + "\n" for name, lines in made.items()}
    openapi = json.dumps(published(), indent=1, ensure_ascii=False) + "\n"
    return {**texts, "asset-graph.svg": asset_graph.svg(), "reference/risk-openapi.json": openapi}


# --- commands ---------------------------------------------------------------------------------------------------------
def commands() -> Iterator[str]:
    """Every command with its help."""
    yield from ("# Commands", "", NOTE, "")
    yield from ("```", _help(main, "daybook"), "```", "")
    for name, command in _all_commands(main, "daybook"):
        yield from (f"## {name}", "", "```", _help(command, name), "```", "")


def _all_commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    """Commands by their whole name, those of groups in place of the group."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _all_commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
    return command.get_help(context)


# --- settings ---------------------------------------------------------------------------------------------------------
def settings() -> Iterator[str]:
    """Every setting with its bounds, shipped value and meaning."""
    shipped = read_settings(Place(Path("no-such-home"), "local", Path("no-such-backups")))
    yield from ("# Settings", "", NOTE, "")
    yield "A setting is read from `config/base.toml`; over it lie `config/<environment>.toml`,"
    yield "`config/<deployment>.toml` and the home's own `desk.toml` (or `desk.yaml`). Unknown settings are refused."
    yield "`daybook config show` prints what is in force; how files come into force is"
    yield "[configuration](../how-to/configuration.md)."
    yield "Strategies that trade are named by `trading.strategies`; their files are [strategy files](strategies.md)."
    yield "What a strategy holds that is removed or renamed is closed: its targets are 0 from the next close on."
    yield from ("", "## Desk", "")
    yield from _table(DeskSettings, "", shipped, skip=("strategies", "data.vendor.columns"))
    yield from ("", "## Columns of contract files: `[data.vendor.columns]`", "")
    yield from _table(CsvColumns, "data.vendor.columns.", shipped.data.vendor.columns)
    yield from ("", "## Single instruments: `[symbols.asset_classes.NAME]` and further levels", "")
    yield "Also `[symbols.exchange_groups.NAME]`, `[symbols.strategies.NAME]` and `[symbols.symbols.CODE]`."
    yield "What `[symbols.defaults]` has may be another value for these, the last over the first; classes and"
    yield "groups may say `inherits` besides. The columns of the table `symbols.table` have the same names."
    yield from ("", *_table(GroupOverrides, "symbols.asset_classes.NAME.", None))
    yield from ("", "## Environment variables", "", "| variable | meaning |", "|---|---|")
    yield from (f"| `{name}` | {meaning} |" for name, meaning in ENVIRONMENT.items())


def strategies() -> Iterator[str]:
    """Every setting of a strategy file, and every rule with its parameters."""
    yield from ("# Strategy files", "", NOTE, "")
    yield "How to write one, and what the options for parity are: [strategies](../how-to/strategies.md). *Shipped* is"
    yield "what holds where a file says nothing. ⚑ marks the choice that lets a past number depend on later data."
    plain = {name for name, field in StrategySettings.model_fields.items() if not _is_model(field.annotation)}
    yield from ("", "## At the top", "")
    yield from _table(StrategySettings, "", None, skip=("rules", *(set(StrategySettings.model_fields) - plain)))
    yield from ("", "## Its rules: `[rules.NAME]`", "")
    yield from _table(RuleSettings, "rules.NAME.", None)
    for name, field in StrategySettings.model_fields.items():
        if _is_model(field.annotation):
            yield from ("", f"## `[{name}]`", "", _first_line(field.annotation.__doc__), "")
            yield from _table(field.annotation, f"{name}.", None)
    yield from ("", "# Rules", "", "A file each in `trading/strategies/rules/`; `rules.NAME.parameters` are these.")
    for name, rule in sorted(forecast_rules().items()):
        yield from ("", f"## {name}", "", _paragraph(rule.description), "")
        yield from _table(rule.parameters, "", None)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


def _paragraph(text: str) -> str:
    return " ".join(text.split())


def _table(model: type[BaseModel], prefix: str, values: BaseModel | None, skip: tuple[str, ...] = ()) -> Iterator[str]:
    yield from ("| setting | value | shipped | meaning |", "|---|---|---|---|")
    yield from _rows(model, prefix, values, skip)


def _rows(model: type[BaseModel], prefix: str, values: BaseModel | None, skip: tuple[str, ...]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        setting = prefix + (field.alias or name)
        kind = field.annotation
        if setting in skip:
            continue
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _rows(kind, f"{setting}.", getattr(values, name, None), skip)
        else:
            meaning = f"{_cell(field.description)}{_flag(setting)}"
            yield f"| `{setting}` | {_kind(field)} | {_shipped(field, name, values)} | {meaning} |"


def _flag(setting: str) -> str:
    """The choice of a strategy's setting that sees the future, if there is one."""
    choice = SEES_THE_FUTURE.get(setting)
    return "" if choice is None else f" ⚑ {ANY}" if choice is ANY else f" ⚑ `{str(choice).lower()}`"


def _kind(field: FieldInfo) -> str:
    name = _kind_of(field.annotation)
    bounds = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    found = [f"{sign} {getattr(rule, word):g}" for rule in field.metadata for word, sign in bounds.items()
             if getattr(rule, word, None) is not None]  # fmt: skip
    return ", ".join([name, *found])


def _kind_of(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return _kind_of(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) in (Union, UnionType):
        names = [_kind_of(option) for option in get_args(kind) if option is not type(None)]
        return " or ".join(dict.fromkeys(names))
    words = {int: "whole number", float: "number", str: "text", bool: "true or false", date: "date", Secret: SECRET}
    shapes = {tuple: "list of text", dict: "table"}
    return words.get(kind) or shapes.get(get_origin(kind), "text")


def _shipped(field: FieldInfo, name: str, values: BaseModel | None) -> str:
    if values is None and field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True) if values is None else getattr(values, name)
    if isinstance(value, bool):
        value = str(value).lower()
    return "none" if value in (None, (), {}, "") else "`" + _cell(value) + "`"


# --- datasets ---------------------------------------------------------------------------------------------------------
def datasets() -> Iterator[str]:
    """Every dataset and column."""
    yield from ("# Datasets", "", NOTE, "")
    yield "`_points` are price points, `_contracts` numbers of contracts, `_base` base currency, `_local` the"
    yield "instrument's currency, `_percent` hundredths. Every dataset is a table of `daybook sql`; a missing number is"
    yield "null there, NaN in pandas. Append-only datasets keep every version of a row; others are replaced by session."
    for layer in dict.fromkeys(dataset.layer for dataset in DATASETS.values()):
        yield from ("", f"## Layer: {layer}")
        for dataset in DATASETS.values():
            if dataset.layer == layer:
                yield from _dataset(dataset)


def _dataset(dataset: Dataset) -> Iterator[str]:
    kept = "Append-only. " if dataset.append_only else ""
    yield from ("", f"### {dataset.name}", "", f"{dataset.description} {kept}Key: `{', '.join(dataset.key)}`.", "")
    yield from ("| column | type | meaning |", "|---|---|---|")
    for field in dataset.schema:
        meaning = (field.metadata or {}).get(b"description", b"").decode()
        yield f"| `{field.name}` | {field.type}{'' if field.nullable else ', never null'} | {meaning} |"


# --- rules ------------------------------------------------------------------------------------------------------------
def rules() -> Iterator[str]:
    """Every data rule, expectation, risk rule and simulated fault."""
    yield from ("# Rules", "", NOTE, "", "## Data rules", "")
    yield "A rule looks at the rows of a dataset and returns findings; each is a row of `violations`"
    yield "(`daybook violations`). *blocks* stops what comes after; *quarantines* sets the rows aside. Without its"
    yield "columns, or without rows, a rule is *not applicable*, which is shown as a warning, never as passed."
    yield "Add one: [write a rule](../how-to/write-a-rule.md)."
    for rule in sorted(all_rules(), key=lambda found: found.name):
        yield from _rule(rule)
    yield from ("", "## By dataset", "", "| dataset | layer | rules |", "|---|---|---|")
    for dataset in DATASETS.values():
        names = ", ".join(f"`{rule.name}`" for rule in rules_for(dataset)) or "none"
        yield f"| {dataset.name} | {layer_of(dataset)} | {names} |"
    yield from ("", "## Beside the rules", "")
    yield "- `journal_intact` on `positions`, blocks: the journal is whole and unchanged, and all tables are its fold."
    yield "- `targets_as_backtest` on `targets`: the backtest's where it holds the same; optimal positions too."
    yield "- `no_look_ahead` on `backtests/...`: with the future cut off, no earlier forecast, position or P&L changes."
    yield "- `nothing_quarantined` on `history`: a bulk load refused no row."
    yield from _expectations()
    yield from _risk_rules()
    yield from ("", "## Faults of the simulated market", "")
    yield "Switched on with `vendor.faults`; described in [the simulated market](../how-to/simulated-market.md):"
    yield ", ".join(f"`{name}`" for name in FAULTS) + ", `vendor_down`."


def _rule(rule: Rule) -> Iterator[str]:
    traits = [rule.severity, *(["blocks"] if rule.blocking else []), *(["quarantines"] if rule.quarantine else [])]
    needs = [f"`{name}`" for name in rule.needs]
    needs += ["any of " + ", ".join(f"`{name}`" for name in rule.any_of)] if rule.any_of else []
    needs += [f"the dataset {name}" for name in rule.companions]
    yield from ("", f"### {rule.name}", "", rule.description, "")
    yield f"- {', '.join(traits)}"
    yield f"- on: {', '.join(rule.datasets)}"
    if needs:
        yield f"- needs: {', '.join(needs)}"


def _expectations() -> Iterator[str]:
    yield from ("", "## Second layer: Great Expectations", "")
    yield "Job `quality` (`daybook quality`); the suites are plain data in `checks/suites/`."
    yield from ("", "| asset | expectation | what | severity |", "|---|---|---|---|")
    for suite in suites():
        for each in suite.expectations:
            arguments = ", ".join(f"{key} {value}" for key, value in each.kwargs.items()).replace("|", "\\|")
            yield f"| {suite.asset} | `{each.name}` | {each.type.replace('_', ' ')}: {arguments} | {each.severity} |"


_ROLLS = {"cut": "is cut to what is left", "warn": "is warned of", "skip": "is not asked about", "stop": "is stopped"}


def _risk_rules() -> Iterator[str]:
    yield from ("", "## Risk rules", "")
    yield "What orders and the book are judged by, against limits of [settings](settings.md) (`risk.limits`, or the"
    yield "setting named here). How values are worked out is [the risk engine](risk-engine.md); how to set limits is"
    yield "[limits and orders](../how-to/risk.md). *Judged*: orders that only reduce a position are judged too."
    for rule in risk_rules():
        yield from ("", f"### {rule.name}", "", f"{_sentence(rule.description)} {rule.cure}", "")
        yield f"- by: {', '.join(rule.axes)}"
        yield f"- unit: {rule.unit or 'none'}"
        if rule.setting or rule.limit is not None:
            yield f"- refuses above: {f'`{rule.setting}`' if rule.setting else f'{rule.limit:g}, always'}"
        yield f"- a roll: {_ROLLS[rule.rolling]}"
        if rule.reducing == "judge":
            yield "- judged"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


# --- jobs -------------------------------------------------------------------------------------------------------------
def jobs() -> Iterator[str]:
    """Every job, schedule and sensor."""
    from pipelines.definitions import defs

    yield from ("# Jobs, schedules and sensors", "", NOTE, "", "## Jobs", "", "| job | what it does |", "|---|---|")
    for job in sorted(defs.jobs or (), key=lambda found: found.name):
        yield f"| `{job.name}` | {_cell(job.description)} |"
    yield from ("", "## Schedules", "", "| schedule | job | when |", "|---|---|---|")
    for schedule in sorted(defs.schedules or (), key=lambda found: found.name):
        yield f"| `{schedule.name}` | {schedule.job_name} | `{schedule.cron_schedule}`, {schedule.execution_timezone} |"
    yield from ("", "## Sensors", "", "| sensor | what it does |", "|---|---|")
    for sensor in sorted(defs.sensors or (), key=lambda found: found.name):
        yield f"| `{sensor.name}` | {_cell(sensor.description)} |"


def _cell(text: object) -> str:
    """Text that may stand in a Markdown table."""
    return str(text).replace("|", "\\|").replace(" <", " &lt;").replace("(<", "(&lt;")


def write(folder: Path = DOCS) -> None:
    """Writes every page."""
    for name, text in pages().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
