"""A configuration written for other programs by `daybook config show`, and read back as a notebook does.

Belongs here: the forms as people and programs get them. Does not belong here: the forms themselves
(`test_config_forms.py`), or TOML for people (`test_config_commands.py`).
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import configuration
from pipelines.place import context, place
from resources import config_forms
from resources.config_forms import PackedConfiguration

Run = Callable[..., Any]


def write(home: Path, text: str) -> Path:
    """A desk on paper whose own file says this."""
    home.mkdir(exist_ok=True)
    (home / "desk.toml").write_text(f'schema = 2\nenvironment = "paper"\n{text}', encoding="utf-8")
    return home


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A desk with three versions: 0.05, 0.04 and 0.03 may be lost a day."""
    for fraction in (0.05, 0.04, 0.03):
        home = write(tmp_path / "home", f"[risk]\nmax_daily_loss_fraction = {fraction}\n")
        configuration.apply(place(home), f"{fraction} a day", "ann")
    return home


def test_a_notebook_reads_what_was_written(three: Path, tmp_path: Path, daybook: Run) -> None:
    """Version 2 in every form, back again; and what is in force, where none is named."""
    hashes = [version.configuration for version in configuration.history(place(three))]

    def written(form: str, *words: str) -> Path:
        file = tmp_path / f"desk.{form}"
        done = daybook("config", "show", *words, "--format", form, "--out", file, "--home", three, "--json").document
        assert (done["ok"], done["out"], done["bytes"]) == (True, str(file), file.stat().st_size)
        return file

    opened = PackedConfiguration.open(written("msgpack", "--version", "2").read_bytes())
    assert opened.configuration == hashes[1]
    assert opened.section("risk")["max_daily_loss_fraction"] == 0.04
    assert opened.desk(context(place(three))).content_hash() == hashes[1]
    arrow = written("arrow", "--version", "2")
    assert config_forms.from_arrow(arrow.read_bytes()).content_hash() == hashes[1]
    rows = pa.ipc.open_stream(arrow).read_all().to_pylist()
    assert [row["value"] for row in rows if row["path"] == ["risk", "max_daily_loss_fraction"]] == ["0.04"]
    found = json.loads(written("json").read_text())
    assert (found["configuration"], found["settings"]["risk"]["max_daily_loss_fraction"]) == (hashes[2], 0.03)
    only = PackedConfiguration.open(written("msgpack", "risk").read_bytes())
    assert (only.sections, only.section("risk")["max_daily_loss_fraction"]) == (("risk",), 0.03)
    assert written("toml", "risk").read_text() == daybook("config", "show", "risk", "--home", three).out
    assert not list(tmp_path.glob(".*.new"))


def test_the_table_of_symbols_is_written_as_it_is_in_force(tmp_path: Path, daybook: Run) -> None:
    few = "[symbols.defaults]\nmax_position_contracts = 40\n[symbols.symbols.CORN]\nmax_position_contracts = 7\n"
    home = write(tmp_path / "home", few)
    assert daybook("config", "apply", "--reason", "corn is thin", "--home", home).code == 0
    write(home, "[symbols.defaults]\nmax_position_contracts = 99\n")
    arrow, table = tmp_path / "symbols.arrow", tmp_path / "symbols.csv"
    for file, words in ((arrow, ("--format", "arrow")), (table, ())):
        assert daybook("config", "show", "--symbols", *words, "--out", file, "--home", home).code == 0
    held = pa.ipc.open_stream(arrow).read_pandas().set_index("symbol")["max_position_contracts"]
    assert (held["CORN"], held["US10"], set(held.drop("CORN"))) == (7, 40, {40})
    (home / "table.csv").write_bytes(table.read_bytes())
    write(home, '[symbols]\ntable = "table.csv"\n')
    assert daybook("config", "apply", "--reason", "as a table", "--home", home).code == 0
    assert daybook("config", "show", "--symbols", "--home", home).out == table.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "csv"], "settings are not written as csv. Choose one of: toml, json, msgpack, arrow."),
        (["--symbols", "--format", "msgpack"], "symbols are not written as msgpack. Choose one of: csv, arrow."),
        (["risk", "--symbols"], "--symbols is about symbols, not about sections."),
        (["riks", "--format", "arrow", "--out", "x"], "Did you mean risk?"),
        (["data.vendor", "--format", "msgpack"], "msgpack holds whole sections, not data.vendor. Name data."),
        (["--format", "msgpack", "--json"], "Give --out FILE."),
        (["--out", "/nowhere/desk.toml"], "/nowhere/desk.toml cannot be written: No such file or directory."),
    ],
)
def test_a_form_that_cannot_be_is_refused(words: list[str], said: str, three: Path, daybook: Run) -> None:
    found = daybook("config", "show", *words, "--home", three)
    assert (found.code, said in found.err) == (2, True), found.err


def test_bytes_go_into_a_pipe_but_not_onto_a_terminal(three: Path) -> None:
    words = [sys.executable, "-m", "pipelines.cli", "config", "show", "--format", "msgpack", "--home", str(three)]
    piped = subprocess.run(words, capture_output=True, check=True)
    (newest,) = [version.configuration for version in configuration.history(place(three))[-1:]]
    assert PackedConfiguration.open(piped.stdout).desk().content_hash() == newest
    ours, terminal = pty.openpty()
    try:
        refused = subprocess.run(words, stdout=terminal, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(terminal)
        os.close(ours)
    assert refused.returncode == 2
    assert b"a terminal cannot show this form. Give --out FILE" in refused.stderr
