"""A few hundred configurations at random: read, or refused by a named error. `benchmarks/fuzz_configuration.py` goes on
for as long as it is told to.

Belongs here: the short run, and that the long one would notice. Does not belong here: bad configurations that are known
(`test_bad_configurations.py`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fuzz_configuration
from benchmarks.fuzz_configuration import Roads, Tally, attempt
from trading.errors import ConfigError


def raising(error: BaseException) -> object:
    """Raises it."""
    raise error


def test_whatever_a_file_holds_it_is_read_or_refused_by_name(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    tally = fuzz_configuration.fuzz(home, tmp_path / "kept", seconds=0, first_seed=11, examples=30)
    assert not tally.wrong, tally.wrong[:3]
    assert len(tally.ended) == 10, "every road was tried"
    assert tally.cases > 300
    outcomes = {outcome for counter in tally.ended.values() for outcome in counter}
    assert {"read", "ConfigError"} <= outcomes


@pytest.mark.parametrize(
    ("error", "noticed"),
    [
        (ConfigError("a file is wrong."), False),
        (ValueError("a library's own"), True),
        (RecursionError("too deep"), True),
        (MemoryError(), True),
        (ConfigError("x" * 200_000), True),
        (ConfigError("\x1b[2J is no setting."), True),
    ],
    ids=["named", "not named", "recursion", "memory", "endless", "obeyed by terminals"],
)
def test_what_is_not_named_is_noticed_and_kept(error: BaseException, noticed: bool, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    roads, tally = Roads(home), Tally(tmp_path / "kept")
    roads.read["toml"] = lambda _: raising(error)
    attempt(roads, "toml", b"the bytes", tally)
    assert bool(tally.wrong) is noticed
    kept = sorted((tmp_path / "kept").glob("*")) if noticed else []
    assert [file.read_bytes() for file in kept] == [b"the bytes"] * noticed
