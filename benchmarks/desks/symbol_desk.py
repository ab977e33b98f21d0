"""A desk with as many symbols as asked for, every setting of each given: the files that benchmarks of configuration
read.

Belongs here: writing those files, and the shipped steps from them to a snapshot. Does not belong here: what is measured
(the benchmarks), or rivals (`benchmarks/peers/plain_configurations.py`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

from pipelines.authored import authored
from pipelines.configuration_snapshot import compiled_settings
from pipelines.place import Place, place, project_folder
from pipelines.symbols import columns_of
from trading.config.snapshot import Snapshot
from trading.config.symbol_fields import FIELDS, SymbolField

CLASSES, GROUPS = 12, 20
TABLE = "symbols.csv"
Row = dict[str, object]


def rows(count: int, seed: int = 1) -> list[Row]:
    """Symbols with class, group and a value within bounds for every field; the same for the same seed."""
    chance = random.Random(seed)
    return [
        {
            "symbol": f"SYM{number:06}",
            "asset_class": f"class_{number % CLASSES}",
            "exchange_group": f"group_{number % GROUPS}",
            **{field.name: _value(field, chance) for field in FIELDS},
        }
        for number in range(count)
    ]


def _value(field: SymbolField, chance: random.Random) -> object:
    if field.kind == "choice":
        return chance.choice(field.choices)
    least, most = field.least or 0, min(field.most or 0, 100_000)
    return chance.randint(int(least), int(most)) if field.kind == "whole" else round(chance.uniform(least, most), 4)


def symbols(count: int) -> list[str]:
    """Names of the symbols of `rows`."""
    return [f"SYM{number:06}" for number in range(count)]


def made(home: Path, found: Sequence[Row], changes: str = "") -> Place:
    """A home whose desk.toml names a table of these rows; `changes` is put under [operations.changes]."""
    home.mkdir(parents=True, exist_ok=True)
    classes = (f"[symbols.asset_classes.class_{n}]\nmax_spike = {21 + n}.0\n" for n in range(CLASSES))
    groups = (f"[symbols.exchange_groups.group_{n}]\nmax_silent_sessions = {2 + n}\n" for n in range(GROUPS))
    parts = ["schema = 2\n", f'[symbols]\ntable = "{TABLE}"\n', *classes, *groups]
    parts += [f"[operations.changes]\n{changes}\n"] if changes else []
    saved(home / "desk.toml", "".join(parts))
    saved(home / TABLE, table(found))
    return place(home, "local")


def table(found: Sequence[Row]) -> str:
    """The rows as CSV."""
    return "\n".join([",".join(found[0]), *(",".join(map(str, row.values())) for row in found)]) + "\n"


def saved(file: Path, text: str) -> None:
    """Saves as editors do: a new file, renamed over the old one."""
    draft = file.with_name(f".{file.name}.swp")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, file)


def files_of(where: Place) -> list[Path]:
    """Every file that loading the configuration reads: the desk's, the shipped ones, and reference data."""
    shipped = [file for name in ("config", "reference") for file in project_folder(name).rglob("*.*") if file.is_file()]
    return [*authored(where).files, *shipped]


def loaded(where: Place) -> Snapshot:
    """From files to a validated, compiled, opened snapshot, by the steps that `daybook config apply` takes."""
    found = authored(where)
    return Snapshot.open(compiled_settings(found.settings, columns_of(found.settings, found.table, where)))
