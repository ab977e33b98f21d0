"""Bad configurations by the road that every command takes: file and line, the setting, its value, what to do.

Belongs here: what a desk's files, its table of symbols and its environment can have wrong. Does not belong here: one
file by itself (`tests/adapters/test_config_documents.py`), or the rules of a strategy
(`tests/domain/test_strategy_refusals.py`).

Every row is read in bounded time and memory, whatever it holds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.settings import place, read_settings
from trading.errors import ConfigError

MOST_SECONDS = 20.0  # on a busy machine; most take a hundredth of one
MOST_BYTES = 150_000_000
SECRET = "hunter2"
Maker = Callable[[Path], None]


@dataclass(frozen=True)
class Bad:
    """What is in the home, which file and line are named (line 0: none), and words the sentence must have."""

    files: dict[str, str | bytes | Maker]
    file: str
    line: int
    said: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)


def desk(text: str | bytes, line: int, *said: str, **variables: str) -> Bad:
    """A desk.toml that is wrong. Line 1 says the schema."""
    data = text.encode() if isinstance(text, str) else text
    return Bad({"desk.toml": b"schema = 2\n" + data}, "desk.toml", line, said, variables)


def yaml(text: str, line: int, *said: str) -> Bad:
    """A desk.yaml that is wrong. Line 1 says the schema."""
    return Bad({"desk.yaml": f"schema: 2\n{text}"}, "desk.yaml", line, said)


def table(text: str | bytes | Maker, line: int, *said: str) -> Bad:
    """A table of symbols that is wrong."""
    return Bad({"desk.toml": "[symbols]\ntable = 'symbols.csv'\n", "symbols.csv": text}, "symbols.csv", line, said)


def strategy(text: str, line: int, *said: str) -> Bad:
    """A strategy file of the home that is wrong."""
    files: dict[str, str | bytes | Maker] = {
        "desk.toml": "schema = 2\n[trading]\nstrategies = ['own']\n", "strategies/own.toml": text,
    }  # fmt: skip
    return Bad(files, "strategies/own.toml", line, said)


def sparse(size: int) -> Maker:
    """A file of so many bytes that takes no room."""

    def make(file: Path) -> None:
        with file.open("wb") as made:
            made.truncate(size)

    return make


def linked(to: str) -> Maker:
    """A link."""
    return lambda file: file.symlink_to(to)


def elsewhere(folder: Path) -> None:
    """A folder that is a link to one outside the home, with a table in it."""
    outside = folder.parents[1] / "elsewhere"
    outside.mkdir()
    (outside / "symbols.csv").write_text("symbol,max_spike\nCORN,5\n")
    folder.symlink_to(outside)


LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
RULE = "[rules.r]\nrule = 'ewmac'\nparameters = { fast = 8, slow = 32 }\nweight = 1.0\n"
MANY = "".join(f"S{number} = {{ max_spike = 2.0 }}\n" for number in range(5001))

BAD: dict[str, Bad] = {
    # --- types
    "text for a number": desk(
        "[trading.capital]\ncapital_base = 'much'\n", 3, "trading.capital.capital_base is 'much' (text)", "a number"
    ),
    "digits as text for a number": desk(
        "[trading.capital]\ncapital_base = '5'\n", 3, "trading.capital.capital_base is '5' (text), but must be a number"
    ),
    "true for a number": desk(
        "[trading.capital]\ncapital_base = true\n", 3, "capital_base is True (true or false), but must be a number"
    ),
    "one for true": desk(
        "[trading.broker.columns]\nsettles_daily = 1\n", 3, "settles_daily is 1 (a number), but must be true or false"
    ),
    "a list for a number": desk("[risk]\nmax_daily_loss_fraction = [1]\n", 3, "risk.max_daily_loss_fraction is [1]"),
    "a number for a section": desk("risk = 5\n", 2, "risk is 5 (a number), but must be a table"),
    "a number for a list": desk("[data]\ntimeframes = 5\n", 3, "data.timeframes is 5", "must be a list"),
    "a fraction for whole": desk("[trading.broker]\nport = 4002.5\n", 3, "trading.broker.port is 4002.5", "whole"),
    "a number in a list of names": desk(
        "[data.universe]\ninstruments = [\n  'CORN',\n  7,\n]\n", 5, "data.universe.instruments[1] is 7", "must be text"
    ),
    "a table for text": desk("[trading.broker]\nhost = {a = 1}\n", 3, "trading.broker.host is {'a': 1}"),
    "text for a date": desk("[features.training]\nsince = 'lately'\n", 3, "features.training.since is 'lately'"),
    # --- ranges
    "a port that is none": desk(
        "[trading.broker]\nport = 70000\n", 3, "trading.broker.port is 70000", "65,535 or less"
    ),
    "no capital": desk("[trading.capital]\ncapital_base = 0\n", 3, "capital_base is 0", "more than 0"),
    "negative exposure": desk(
        "[risk]\nmax_gross_exposure_fraction = -1.0\n", 3, "risk.max_gross_exposure_fraction is -1.0", "0 or more"
    ),
    "percent for a fraction": desk("[risk]\nmax_daily_loss_fraction = 5\n", 3, "is 5", "must be 1 or less"),
    "a limit of NaN": desk("[risk]\nmax_daily_loss_fraction = nan\n", 3, "is nan", "must be a finite number"),
    "a limit of infinity": desk("[risk]\nmax_gross_exposure_fraction = inf\n", 3, "is inf", "a finite number"),
    "a limit of minus infinity": desk(
        "[symbols.defaults]\nmax_spike = -inf\n", 3, "symbols.defaults.max_spike is -inf"
    ),
    "NaN for one symbol": desk(
        "[symbols.symbols.CORN]\n\nmax_exposure_fraction = nan\n",
        4,
        "symbols.symbols.CORN.max_exposure_fraction is nan",
    ),
    "a negative limit of a class": desk(
        "[symbols.asset_classes.grains]\nmax_position_contracts = -1\n",
        3,
        "symbols.asset_classes.grains.max_position_contracts is -1",
        "0 or more",
    ),
    "more jobs than the ceiling": desk(
        "[data.parallelism]\njobs = 201\n",
        3,
        "data.parallelism.jobs is 201: 201 is above the ceiling of 200 jobs",
        "DAYBOOK_MAX_JOBS",
    ),
    "more connections than a lowered ceiling": desk(
        "[data.streaming]\nmax_connections = 9\n",
        3,
        "above the ceiling of 8",
        "DAYBOOK_MAX_CONNECTIONS",
        DAYBOOK_MAX_CONNECTIONS="8",
    ),
    "a number wider than 64 bits": desk(
        "[data.vendor]\nseed = 99999999999999999999\n", 3, "data.vendor.seed", "64 bits"
    ),
    # --- sizes
    "text too long": desk(
        f"[trading.reconciliation]\nowner = '{'x' * 201}'\n",
        3,
        "trading.reconciliation.owner has 201 characters",
        "at most 200",
    ),
    "a name too long": desk(
        f"[symbols.asset_classes.{'x' * 41}]\nmax_spike = 2.0\n", 2, "letters, digits and _ only, 40 at most"
    ),
    "more timeframes than there are": desk(
        "[data]\ntimeframes = ['daily', 'daily', 'daily']\n", 3, "data.timeframes has 3 entries", "at most 2"
    ),
    "no timeframes": desk("[data]\ntimeframes = []\n", 3, "data.timeframes has no entries", "at least 1"),
    "more symbols than belong here": desk(
        f"[symbols.symbols]\n{MANY}", 2, "symbols.symbols has 5,001 entries", "at most 5,000"
    ),
    "more instruments than a lowered ceiling": desk(
        "[data.universe]\ninstruments = ['A', 'B']\n", 3, "above the ceiling of 1 symbols", DAYBOOK_MAX_SYMBOLS="1"
    ),
    "a strategy name of 90,000 characters": desk(
        f"[trading]\nstrategies = ['{'x' * 90_000}']\n", 3, "strategy", "unknown"
    ),
    # --- unknown settings
    "a misspelt section": desk("[tradng]\n", 2, "tradng is not a setting. Did you mean trading?"),
    "a misspelt setting": desk(
        "[trading.capital]\ncapital_bse = 5\n",
        3,
        "trading.capital.capital_bse is not a setting",
        "Did you mean capital_base?",
        "Settings of [trading.capital] are: base_currency",
    ),
    "a setting at the wrong place": desk("capital_base = 5\n", 2, "Did you mean trading.capital.capital_base?"),
    "a misspelt setting of a symbol": desk(
        "[symbols.symbols.CORN]\nmax_spkie = 3\n", 3, "symbols.symbols.CORN.max_spkie", "Did you mean max_spike?"
    ),
    "a setting a terminal would obey": desk('"\\u001b[31m" = 1\n', 2, "'\\x1b[31m' is not a setting"),
    "what reading sets": desk("strategies = []\n", 0, "strategies cannot be given", "trading.strategies"),
    # --- choices and alphabets
    "no such environment": desk("environment = 'prod'\n", 2, "environment is 'prod'", "development, paper, production"),
    "an environment that is a path": desk("environment = '../../desk'\n", 2, "environment is '../../desk'"),
    "an environment without end": desk(f"environment = '{'x' * 5_000}'\n", 2, "environment is 'xxx"),
    "no such vendor": desk("[data.vendor]\nname = 'simulatd'\n", 3, "name is 'simulatd'", "Did you mean simulated?"),
    "no such mode": desk("[symbols.defaults]\ntrading_mode = 'off'\n", 3, "is 'off'", "free, reduce_only, none"),
    "no such currency": desk("[trading.capital]\nbase_currency = 'dollar'\n", 3, "'dollar'", "three capital letters"),
    "a code with a slash": desk(
        "[data.universe]\nexcluded = ['A/B']\n", 3, "excluded[0] is 'A/B'", "letters, digits, _"
    ),
    "a host with a blank": desk("[trading.broker]\nhost = 'my host'\n", 3, "trading.broker.host is 'my host'"),
    "text on two lines": desk('[trading.reconciliation]\nowner = "a\\nb"\n', 3, "owner is 'a\\nb'", "one line of text"),
    "no such time zone": desk("[trading.broker]\ntimezone = 'Mars'\n", 3, "is 'Mars'", "there is no such time zone"),
    "no such encoding": desk("[data.vendor.columns]\nencoding = 'utf-99'\n", 3, "no such text encoding"),
    "an encoding that rings": desk('[data.vendor.columns]\nencoding = "utf-8\\u0007"\n', 3, "must be a name"),
    "a separator that ends a line": desk(
        '[data.vendor.columns]\ndelimiter = "\\n"\n', 3, "delimiter is '\\n'", "one character of ASCII, or a tab"
    ),
    "a separator that quotes": desk("[data.vendor.columns]\ndelimiter = '\"'\n", 3, "no quotation mark"),
    "a pattern that rings": desk(
        '[data.vendor.columns]\nfile_pattern = "(?P<instrument>a)(?P<contract>b)\\u0007"\n', 3, "one line of text"
    ),
    "a pattern that is none": desk("[data.vendor.columns]\nfile_pattern = '('\n", 3, "not a regular expression"),
    "a pattern without a group": desk(
        "[data.vendor.columns]\nfile_pattern = '(?P<contract>.*)'\n", 3, "no group instrument"
    ),
    # --- paths
    "a path upwards": desk("[data.vendor]\nsource = '../../etc'\n", 3, "source is '../../etc'", "leaves its folder"),
    "a path to somebody's home": desk("[trading.broker]\nstatements = '~/x'\n", 3, "'~/x'", "without .. and ~"),
    "a path outside the roots": desk(
        "[data.vendor]\nsource = '/etc'\n",
        3,
        "source is '/etc'",
        "none of the folders of DAYBOOK_ROOTS",
        DAYBOOK_ROOTS="/srv",
    ),
    "a table upwards": desk("[symbols]\ntable = '../symbols.csv'\n", 3, "symbols.table is '../symbols.csv'", "below"),
    "a table at the root": desk("[symbols]\ntable = '/etc/symbols.csv'\n", 3, "symbols.table is '/etc/symbols.csv'"),
    "a table that is a device": desk("[symbols]\ntable = '/dev/zero'\n", 3, "symbols.table is '/dev/zero'"),
    "a table with an endless name": desk(f"[symbols]\ntable = '{'x' * 300}.csv'\n", 3, "symbols.table"),
    "a table that is a number": desk("[symbols]\ntable = 5\n", 3, "symbols.table is 5"),
    "a secret upwards": desk(
        "[data.storage.cache]\naddress = { file = '../redis' }\n", 3, "data.storage.cache.address.file is '../redis'"
    ),
    # --- secrets in the clear
    "a token in an address": desk(
        f"[operations.notifier]\nwebhook_url = 'https://h.example/?token={SECRET}'\n",
        3,
        "operations.notifier.webhook_url holds a secret in the clear",
        "{ env = 'NAME' }",
    ),
    "a secret as text": desk(
        f"[operations.notifier]\nwebhook = 'https://h.example/{SECRET}'\n", 3, "webhook holds a secret in the clear"
    ),
    "a password in an address": desk(
        f"[data.storage.ledger]\naddress = 'mongodb://u:{SECRET}@h'\n", 3, "ledger.address holds a secret in the clear"
    ),
    "a password where none belongs": desk(
        f"[trading.reconciliation]\nowner = 'https://u:{SECRET}@h'\n", 3, "owner holds a secret in the clear"
    ),
    "a password in a wrong address": desk(
        f"[operations.notifier]\nwebhook_url = 'ftp://u:{SECRET}@h'\n", 3, "webhook_url is not shown here"
    ),
    "a secret for a variable": desk(
        f"[data.storage.ledger]\naddress = {{ env = '{SECRET}' }}\n", 3, "not shown here", "an environment variable"
    ),
    "a secret in a list": desk(
        f"[data.storage.ledger]\naddress = ['{SECRET}']\n", 3, "not shown here", "{ env = 'NAME' } or { file = 'path' }"
    ),
    "a secret under another name": desk(
        f"[data.storage.ledger]\naddress = {{ value = '{SECRET}' }}\n", 3, "address.value is not a setting"
    ),
    "a secret in two places": desk(
        "[data.storage.ledger]\naddress = { env = 'A', file = 'b' }\n", 3, "give either env or file"
    ),
    # --- inheritance
    "a cycle of two": desk(
        "[symbols.asset_classes.a]\ninherits = 'b'\n[symbols.asset_classes.b]\ninherits = 'a'\n",
        2,
        "symbols.asset_classes: a inherits b inherits a, which is a cycle",
        "Remove",
    ),
    "a group that inherits itself": desk("[symbols.exchange_groups.x]\ninherits = 'x'\n", 2, "x inherits x", "a cycle"),
    "a parent that is not there": desk(
        "[symbols.asset_classes.grains]\ninherits = 'sfts'\n[symbols.asset_classes.softs]\n", 3, "sfts", "softs"
    ),
    # --- settings that contradict one another
    "pauses that shrink": desk(
        "[data.streaming]\nreconnect_first_seconds = 61\n",
        3,
        "data.streaming.reconnect_first_seconds (61) is above data.streaming.reconnect_longest_seconds (60)",
    ),
    "followed and not followed": desk(
        "[data.universe]\ninstruments = ['A', 'B']\nexcluded = ['B']\n",
        3,
        "data.universe.instruments and data.universe.excluded both name B",
    ),
    "never a volatility": desk(
        "[features]\nvolatility_span_sessions = 5\nvolatility_min_sessions = 60\n",
        4,
        "features.volatility_min_sessions (60) is more than 10 times features.volatility_span_sessions (5)",
    ),
    "bars nobody keeps": desk(
        "[data]\ntimeframes = ['intraday']\n[data.vendor]\nname = 'csv_folder'\n",
        3,
        "data.vendor.columns.frequency is daily, and data.timeframes keeps only intraday",
    ),
    # --- environments
    "production on made-up prices": desk("environment = 'production'\n", 0, "data.vendor.name is simulated"),
    "paper with faults": desk(
        "environment = 'paper'\n[data.vendor]\nfaults = ['spikes']\n", 4, "data.vendor.faults is spikes", "is paper"
    ),
    "two environments": Bad(
        {"desk.toml": "schema = 2\nenvironment = 'paper'\n"},
        "desk.toml",
        0,
        ("DAYBOOK_ENVIRONMENT is 'development' and environment in", "is 'paper'"),
        {"DAYBOOK_ENVIRONMENT": "development"},
    ),
    # --- schemas
    "a newer schema": Bad(
        {"desk.toml": "schema = 3\n"}, "desk.toml", 0, ("schema 3 is newer than this Daybook reads",)
    ),
    "a schema in words": Bad({"desk.toml": "schema = 'two'\n"}, "desk.toml", 0, ("schema is 'two'", "whole number")),
    "a schema before the first": Bad({"desk.toml": "schema = 0\n"}, "desk.toml", 0, ("schema is 0",)),
    "a name of before and of now": Bad(
        {"desk.toml": "[capital]\ncapital_base = 1.0\n[trading.capital]\ncapital_base = 2.0\n"},
        "desk.toml",
        0,
        ("capital.capital_base is the name of before for trading.capital.capital_base",),
    ),
    "a name of before, wrong": Bad(
        {"desk.toml": "\n[capital]\ncapital_base = -1.0\n"}, "desk.toml", 3, ("trading.capital.capital_base is -1.0",)
    ),
    # --- files
    "a setting twice": desk("[risk]\nmax_daily_loss_fraction = 0.1\nmax_daily_loss_fraction = 0.2\n", 4, "in line 3"),
    "a section twice": desk("[risk]\n[trading]\n[risk]\n", 4, "risk is given twice, first in line 2"),
    "no TOML": desk("[risk\n", 2, "not valid TOML"),
    "an unfinished text": desk("a = '''\n\n\n", 5, "not valid TOML"),
    "latin-1": desk("owner = 'Zoë'\n".encode("latin-1"), 2, "byte 0xeb at 22 is not UTF-8", "Save the file as UTF-8"),
    "utf-16": Bad({"desk.toml": "schema = 2\n".encode("utf-16")}, "desk.toml", 1, ("is not UTF-8",)),
    "zero bytes": desk(b"\x00" * 1000, 2, "not valid TOML"),
    "a gigabyte": Bad(
        {"desk.toml": sparse(2**30)}, "desk.toml", 0, ("has 1,073,741,824 bytes, more than the 4,000,000",)
    ),
    "one byte too many": Bad({"desk.toml": b"#" * 4_000_001}, "desk.toml", 0, ("has 4,000,001 bytes",)),
    "a pipe": Bad({"desk.toml": os.mkfifo}, "desk.toml", 0, ("is a pipe, not a file",)),
    "a folder": Bad({"desk.toml": Path.mkdir}, "desk.toml", 0, ("is a folder, not a file",)),
    "a device": Bad({"desk.toml": linked("/dev/zero")}, "desk.toml", 0, ("is a device, not a file",)),
    "a link to nowhere": Bad({"desk.toml": linked("nowhere.toml")}, "desk.toml", 0, ("cannot be read", "No such file")),
    "a link to itself": Bad({"desk.toml": linked("desk.toml")}, "desk.toml", 0, ("cannot be read", "symbolic links")),
    "both forms": Bad({"desk.toml": "", "desk.yaml": ""}, "desk.yaml", 0, ("both exist. Keep the one that is meant",)),
    # --- bombs
    "lists 100,000 deep": desk("a = " + "[" * 100_000, 2, "more than 16 deep"),
    "tables 100,000 deep": desk("a = " + "{ a = " * 100_000, 2, "more than 16 deep"),
    "a key of 100,000 parts": desk("a" + ".a" * 100_000 + " = 1\n", 2, "more than 16 deep"),
    "a section of a million parts": desk("[a" + ".a" * 1_000_000 + "]\n", 2, "more than 16 deep"),
    "300,000 settings": desk("".join(f"a{n}=1\n" for n in range(300_000)), 250_001, "more than 250,000 settings"),
    "a million entries": desk(f"a = [{'1,' * 1_000_000}]\n", 2, "more than 250,000 settings and entries"),
    "a number of 3 million digits": desk("a = " + "9" * 3_000_000, 2, "3,000,000 characters"),
    "a hexadecimal of 3 million digits": desk("a = 0x" + "f" * 3_000_000, 2, "3,000,002 characters"),
    "a text of 3 million characters": desk(f"a = '{'x' * 3_000_000}'\n", 2, "3,000,000 characters"),
    "a key of 3 million characters": desk("x" * 3_000_000 + " = 1\n", 2, "3,000,000 characters"),
    # --- YAML
    "a billion laughs": yaml(LAUGHS, 2, "the anchor &a0", "aliases are not read"),
    "an alias": yaml("risk: *a\n", 2, "the alias *a"),
    "an object of Python": yaml("risk: !!python/object/apply:os.system [id]\n", 2, "the tag", "os.system"),
    "a merge": yaml("risk:\n  <<: {a: 1}\n", 3, "a merge (<<)"),
    "YAML with a setting twice": yaml("risk:\n  a: 1\n  a: 2\n", 4, "risk.a is given twice, first in line 3"),
    "YAML with two documents": yaml("---\nrisk:\n", 2, "a second document begins"),
    "YAML 100,000 deep": yaml("a: " + "[" * 100_000, 2, "more than 16 deep"),
    "YAML with tabulators": yaml("risk:\n\tmax: 1\n", 3, "not valid YAML"),
    "YAML with a wrong value": yaml("risk:\n  max_daily_loss_fraction: .nan\n", 3, "is nan", "a finite number"),
    "YAML with yes for true": yaml(
        "trading:\n  broker:\n    columns:\n      settles_daily: perhaps\n",
        5,
        "settles_daily is 'perhaps'",
        "true or false",
    ),
    "YAML with an octal": yaml("data:\n  vendor:\n    seed: 010\n", 4, "data.vendor.seed is '010'", "by eights"),
    "YAML that is a list": Bad({"desk.yaml": "- a\n"}, "desk.yaml", 1, ("must hold settings",)),
    # --- strategies
    "a strategy that is not there": desk(
        "[trading]\nstrategies = ['trnd']\n", 3, "trnd is unknown. Did you mean trend?"
    ),
    "a strategy with a wrong weight": strategy(RULE.replace("1.0", "'all'"), 4, "rules.r.weight is 'all' (text)"),
    "a strategy with a misspelt section": strategy(f"[bufer]\n{RULE}", 1, "bufer", "Did you mean buffer?"),
    "a strategy of no rules": strategy("capital_share = 1.0\n", 0, "rules is missing"),
    "a strategy of an unknown rule": strategy(RULE.replace("ewmac", "ewmca"), 0, "ewmca", "Did you mean ewmac?"),
    "a strategy that is no TOML": strategy("rules = [", 1, "not valid TOML"),
    "a strategy whose capital drifts": Bad(
        {"desk.toml": "[trading]\nstrategies = ['own']\n", "strategies/own.toml": f"compounding = 'half'\n{RULE}"},
        "desk.toml",
        0,
        ("strategies: strategy own has compounding = 'half'", "Set its compounding to 'fixed'"),
    ),
    "strategies 100,000 deep": strategy("a = " + "[" * 100_000, 1, "more than 16 deep"),
    # --- the table of symbols
    "a table that is missing": Bad(
        {"desk.toml": "[symbols]\ntable = 'symbols.csv'\n"}, "symbols.csv", 0, ("symbols.table", "no such file")
    ),
    "a table with a negative limit": table(
        "symbol,max_position_contracts\nCORN,5\nUS10,-1\n", 3, "max_position_contracts", "-1"
    ),
    "a table with NaN": table("symbol,max_spike\nCORN,nan\n", 2, "max_spike", "nan"),
    "a table with an unknown column": table("symbol,max_spik\nCORN,5\n", 1, "max_spik", "max_spike"),
    "a table with a symbol twice": table("symbol,max_spike\nCORN,5\nCORN,6\n", 3, "CORN"),
    "a table cut off": table("symbol,max_spike\nCORN,5\nUS10\n", 3, "fields"),
    "a table in latin-1": table("symbol,max_spike\nZoë,5\n".encode("latin-1"), 2, "UTF-8"),
    "a table of a gigabyte": table(sparse(2**30), 0, "has 1,073,741,824 bytes, more than the 64,000,000"),
    "a table that is a pipe": table(os.mkfifo, 0, "is a pipe"),
    "a table that is a link to itself": table(linked("symbols.csv"), 0, "cannot be read", "symbolic links"),
    "a table that is a link to nowhere": table(linked("nowhere.csv"), 0, "cannot be read", "No such file"),
    "a table whose folder leaves the desk": Bad(
        {"desk.toml": "[symbols]\ntable = 'tables/symbols.csv'\n", "tables": elsewhere},
        "tables/symbols.csv",
        0,
        ("lies outside",),
    ),
    "a table whose link leaves the desk": table(linked("/etc/hostname"), 0, "lies outside"),
}


def made(home: Path, bad: Bad) -> None:
    """Puts the files of a row into a home."""
    for name, content in bad.files.items():
        file = home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(file)
        else:
            file.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Sets environment variables for a test."""

    def given(names: dict[str, str]) -> None:
        for name, value in names.items():
            monkeypatch.setenv(name, value)

    return given


def everything(home: Path) -> None:
    """What a run of any command needs of the configuration: the settings, and what a symbol gets."""
    read_settings(place(home, "local")).symbol("CORN")


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_configuration_is_refused(bad: Bad, tmp_path: Path, variables: Any) -> None:
    home = tmp_path / "home"
    home.mkdir()
    made(home, bad)
    variables(bad.variables)
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(ConfigError) as found:
            everything(home)
        seconds, peak = time.process_time() - begun, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text = str(found.value)
    assert bad.file in text
    if bad.line:
        assert any(
            f"{bad.file}{mark}{bad.line}" in text
            for mark in (":", ", line ", ": 1 fault; nothing of the table is used.\n  line ")
        )
    assert not [part for part in bad.said if part not in text], text[:1000]
    assert SECRET not in "".join(traceback.format_exception(found.value))
    assert text.replace("\n", "").isprintable(), "nothing a terminal obeys"
    assert len(text) < 2_000
    assert (seconds, peak) < (MOST_SECONDS, MOST_BYTES)
    assert peak < MOST_BYTES


BOMBS = (
    "a gigabyte", "a table of a gigabyte", "a device", "a billion laughs", "lists 100,000 deep", "YAML 100,000 deep",
    "a key of 100,000 parts", "a section of a million parts", "300,000 settings", "a million entries",
    "a hexadecimal of 3 million digits", "a text of 3 million characters", "a key of 3 million characters",
)  # fmt: skip
PROGRAM = """
import resource, sys, time
from pipelines.settings import place, read_settings
from trading.errors import ConfigError
for home in sys.argv[1:]:
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        read_settings(place(home, "local")).symbol("CORN")
    except ConfigError:
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(int(grown / 1024), time.process_time() - begun)
"""


def test_bombs_take_little_memory_of_a_process_in_all_of_its_parts(tmp_path: Path, root: Path) -> None:
    homes = [tmp_path / str(number) for number in range(len(BOMBS) + 1)]
    for home in homes:
        home.mkdir()
    made(homes[0], desk("[risk]\nmax_daily_loss_fraction = 7\n", 3))  # what it takes to refuse anything
    for home, name in zip(homes[1:], BOMBS, strict=True):
        made(home, BAD[name])
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, *map(str, homes)]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=200)
    assert answer.returncode == 0, answer.stderr
    rows = [line.split() for line in answer.stdout.splitlines()]
    assert len(rows) == len(homes), "each was refused by name"
    assert sum(int(grown) for grown, _ in rows[1:]) < MOST_BYTES / 1e6
    assert max(float(seconds) for _, seconds in rows) < MOST_SECONDS


def test_the_table_is_long_enough_and_the_desk_it_changes_is_good(tmp_path: Path) -> None:
    assert len(BAD) >= 60
    assert sum(1 for bad in BAD.values() if bad.line) >= 60
    (tmp_path / "desk.toml").write_text("schema = 2\n")
    everything(tmp_path)
    (tmp_path / "desk.toml").write_text("[symbols]\ntable = 'symbols.csv'\n")
    (tmp_path / "symbols.csv").write_text("symbol,max_position_contracts\nCORN,5\n")
    assert read_settings(place(tmp_path, "local")).symbol("CORN").max_position_contracts == 5


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DAYBOOK_DEPLOYMENT", "servces", "deployment 'servces' is unknown"),
        ("DAYBOOK_ENVIRONMENT", "prod", "DAYBOOK_ENVIRONMENT"),
        ("DAYBOOK_MAX_JOBS", "many", "DAYBOOK_MAX_JOBS is 'many', but must be a whole number"),
        ("DAYBOOK_MAX_SYMBOLS", "0", "DAYBOOK_MAX_SYMBOLS is '0'"),
        ("DAYBOOK_MAX_TABLE_BYTES", "1e9", "DAYBOOK_MAX_TABLE_BYTES is '1e9'"),
    ],
)
def test_a_bad_variable_is_refused(name: str, value: str, said: str, tmp_path: Path, variables: Any) -> None:
    variables({name: value})
    with pytest.raises(ConfigError) as found:
        read_settings(place(tmp_path))
    assert said in str(found.value)


def test_every_wrong_setting_is_told_at_once(tmp_path: Path) -> None:
    text = "schema = 2\n[risk]\nmax_daily_loss_fraction = 7\n[trading.broker]\nport = 0\n[data]\ntimeframes = []\n"
    (tmp_path / "desk.toml").write_text(text)
    with pytest.raises(ConfigError) as found:
        everything(tmp_path)
    said = str(found.value)
    assert all(f"desk.toml:{line}: " in said for line in (3, 5, 7))


def test_45_000_wrong_settings_are_told_as_two_hundred_and_a_count(tmp_path: Path) -> None:
    wrong = "{ " + ", ".join(f"{name} = -1" for name in ("max_position_contracts", "max_spike", "trading_mode")) + " }"
    rows = "".join(f"S{number} = {wrong}\n" for number in range(5000))
    (tmp_path / "desk.toml").write_text(f"schema = 2\n[symbols.symbols]\n{rows}")
    begun = time.process_time()
    with pytest.raises(ConfigError) as found:
        everything(tmp_path)
    assert time.process_time() - begun < MOST_SECONDS
    assert "And 14,800 more." in str(found.value)
    assert len(str(found.value)) < 60_000
