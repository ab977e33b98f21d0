"""Docs and code hold each other: what exists is described, what is described exists, and the example runs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import unquote

import click
import pandas as pd
import pytest

from pipelines.cli import main
from resources.vendors.simulated import FAULTS
from trading.config.models import DeskSettings
from trading.config.settings import Settings
from trading.config.strategies import RuleSettings, StrategySettings
from trading.frames import DATASETS
from trading.quality.examination import all_rules
from trading.quality.rule import Rule, RuleContext
from trading.strategies.rule import rules as forecast_rules

GENERATED = (
    "asset-graph.svg",
    "reference/commands.md",
    "reference/datasets.md",
    "reference/jobs.md",
    "reference/risk-openapi.json",
    "reference/rules.md",
    "reference/settings.md",
    "reference/strategies.md",
)


@pytest.fixture(scope="module")
def page(root: Path) -> Callable[[str], str]:
    """The text of a page below docs/."""
    return lambda name: (root / "docs" / name).read_text("utf-8")


@pytest.fixture(scope="module")
def made_now(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as the code would write them now."""
    folder = tmp_path_factory.mktemp("pages")
    program = "import sys, pathlib, generate; generate.write(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-W", "ignore", "-c", program, str(folder)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root / "docs"), str(root)]),
        "DAYBOOK_HOME": str(folder.parent / "no-home"),
    }
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=environment)
    assert answer.returncode == 0, answer.stderr
    return folder


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_up_to_date(name: str, made_now: Path, root: Path) -> None:
    kept, fresh = (root / "docs" / name).read_text("utf-8"), (made_now / name).read_text("utf-8")
    assert kept == fresh, f"docs/{name} is old: run `make docs`"


def test_every_generated_page_is_looked_at(made_now: Path) -> None:
    assert sorted(file.relative_to(made_now).as_posix() for file in made_now.rglob("*.*")) == sorted(GENERATED)


def test_every_command_and_option_is_documented(page: Callable[[str], str]) -> None:
    text = page("reference/commands.md")
    for name, command in all_commands(main):
        section = text.partition(f"## daybook {name}\n")[2].partition("\n## ")[0]
        assert command.help, f"daybook {name} has no help"
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        assert not [option for option in options if option not in section]


def all_commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Commands by their words after `daybook`, those of groups too."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def test_every_setting_is_documented(page: Callable[[str], str]) -> None:
    text = page("reference/settings.md")
    names = setting_names(DeskSettings, "")
    assert len(names) >= 30
    assert not [name for name in names if f"`{name}`" not in text]


def test_every_setting_of_a_strategy_file_is_documented(page: Callable[[str], str]) -> None:
    text = page("reference/strategies.md")
    names = [*setting_names(StrategySettings, ""), *setting_names(RuleSettings, "rules.NAME.")]
    assert len(names) >= 60
    assert not [name for name in names if f"| `{name}` |" not in text]
    for name, rule in forecast_rules().items():
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert not [parameter for parameter in rule.parameters.model_fields if f"`{parameter}`" not in section]


def setting_names(model: type[Settings], prefix: str) -> list[str]:
    """Dotted names of a model's settings; those of strategies and rules have a table of their own."""
    found: list[str] = []
    for name, field in model.model_fields.items():
        assert field.description, f"{prefix}{name} has no description"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            found += setting_names(field.annotation, f"{prefix}{name}.")
        elif name not in ("strategies", "rules"):
            found.append(prefix + (field.alias or name))
    return found


def test_every_environment_variable_is_documented(modules, page: Callable[[str], str]) -> None:
    read = re.compile(r"os\.environ\.get\(\"([A-Z_]+)\"")
    names = {name for module in modules if module.package == "pipelines" for name in read.findall(module.text)}
    assert names >= {"DAYBOOK_HOME", "DAYBOOK_DEPLOYMENT"}
    assert not [name for name in names if f"`{name}`" not in page("reference/settings.md")]


def test_every_dataset_and_column_is_documented(page: Callable[[str], str]) -> None:
    text = page("reference/datasets.md")
    for name, dataset in DATASETS.items():
        section = text.partition(f"### {name}\n")[2].partition("\n### ")[0]
        assert dataset.description in section
        for field in dataset.schema:
            assert (field.metadata or {}).get(b"description"), f"{name}.{field.name} has no meaning"
            assert f"`{field.name}`" in section


def test_every_rule_is_documented(page: Callable[[str], str]) -> None:
    text, rules = page("reference/rules.md"), all_rules()
    assert len(rules) > 25
    assert not [rule.name for rule in rules if f"### {rule.name}\n\n{rule.description}" not in text]


def test_every_fault_is_documented(page: Callable[[str], str]) -> None:
    text = page("how-to/simulated-market.md")
    assert not [name for name in (*FAULTS, "vendor_down") if f"| `{name}` |" not in text]


def test_every_link_leads_somewhere(root: Path) -> None:
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    broken = [
        f"{page.relative_to(root)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
        if "://" not in target and not (page.parent / unquote(target.split("#")[0])).exists()
    ]
    assert not broken


def test_every_page_is_linked_from_another(root: Path) -> None:
    pages = {page.resolve() for page in (root / "docs").rglob("*.md")}
    linked = {
        (page.parent / target.split("#")[0]).resolve()
        for page in (root / "README.md", *pages)
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
        if "://" not in target
    }
    alone = pages - linked - {page for page in pages if page.parent.name == "decisions"}
    assert not sorted(page.name for page in alone)


def test_files_that_pages_name_exist(root: Path) -> None:
    named = re.compile(r"`((?:trading|resources|assets|checks|pipelines|config|reference|tests|docs)/[\w./]+)`")
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    missing = [
        f"{page.relative_to(root)}: {name}"
        for page in pages
        for name in named.findall(page.read_text("utf-8"))
        if not (root / name).exists()
    ]
    assert not missing


def test_commands_that_pages_show_exist(root: Path) -> None:
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    shown = {
        name
        for page in pages
        for name in re.findall(r"(?:^|[$`(/])daybook(?: --\w+ \S+)* ([a-z]+)\b", page.read_text("utf-8"), re.MULTILINE)
    }
    assert len(shown) > 10
    assert not shown - set(main.commands)


def test_decisions_are_numbered_without_gaps(root: Path) -> None:
    numbers = sorted(int(page.name[:4]) for page in (root / "docs/decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def example(root: Path) -> tuple[str, str]:
    """The README's day in plain Python, and what it says it prints."""
    text = (root / "README.md").read_text("utf-8").partition("<!-- one day -->")[2]
    blocks = re.findall(r"```(?:python)?\n(.*?)```", text, re.DOTALL)
    return blocks[0], blocks[1]


def test_the_day_in_plain_python_runs_and_prints_what_it_says(root: Path) -> None:
    program, said = example(root)
    answer = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == said.strip()


def test_the_day_in_plain_python_needs_no_framework(root: Path) -> None:
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(example(root)[0]))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported == {"datetime", "pathlib", "resources", "trading"}


def test_the_rule_that_a_page_shows_is_a_rule_and_finds_what_it_says(page: Callable[[str], str]) -> None:
    program = re.findall(r"```python\n(.*?)```", page("how-to/write-a-rule.md"), re.DOTALL)[0]
    names: dict[str, object] = {}
    exec(compile(program, "write-a-rule.md", "exec"), names)
    shown = names["whole_volume"]
    assert isinstance(shown, Rule)
    rows = pd.DataFrame(
        {
            "vendor": "v", "instrument": "US10", "contract": 20220300, "frequency": "daily", "label": ["a", "b", "c"],
            "session": pd.Timestamp("2022-02-25"), "volume": [10.0, 2.5, None],
        }
    )  # fmt: skip
    day, seen_at = date(2022, 2, 25), datetime(2022, 2, 25, 22, tzinfo=UTC)
    found = shown.judge(rows, RuleContext(DATASETS["raw_bars"], day, day, seen_at))
    assert list(found["label"]) == ["b"]
