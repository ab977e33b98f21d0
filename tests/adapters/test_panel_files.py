"""Panels as memory-mapped files: bit for bit, never half, a few of them, made once however many ask."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from resources.panels import KeptPanels, PanelFiles
from trading.backtest.panel import Panel
from trading.errors import StoreUnavailable, UsageError

CHILD = Path(__file__).with_name("panel_maker.py")
ONE, TWO, THREE, FOUR = (digit * 64 for digit in "1234")


@pytest.fixture(scope="module")
def small() -> Callable[..., Panel]:
    """The panel that the child makes, by version."""
    made: Callable[..., Panel] = runpy.run_path(str(CHILD))["small"]
    return made


def same(one: Panel, other: Panel) -> None:
    """Every field equal, arrays to the last bit."""
    for field in fields(Panel):
        left, right = getattr(one, field.name), getattr(other, field.name)
        assert type(left) is type(right), field.name
        if isinstance(left, np.ndarray):
            assert (left.dtype, left.shape) == (right.dtype, right.shape), field.name
            assert left.tobytes() == right.tobytes(), field.name
        else:
            assert left == right, field.name


def test_a_panel_comes_back_bit_for_bit(tmp_path: Path, small) -> None:
    files = PanelFiles(tmp_path / "panels")
    assert files.get(ONE) is None
    files.put(small(ONE))
    found = files.get(ONE)
    assert found is not None
    same(found, small(ONE))
    assert found.price.flags.c_contiguous
    assert found.price.flags.aligned
    assert found.price.flags.writeable  # compiled kernels take it for the same type as a fresh array
    assert PanelFiles(tmp_path / "panels").versions() == [ONE]


def test_what_a_reader_writes_stays_with_it(tmp_path: Path, small) -> None:
    files = PanelFiles(tmp_path)
    files.put(small(ONE))
    mine, other = files.get(ONE), files.get(ONE)
    assert mine is not None
    assert other is not None
    mine.price[0, 0] = -5.0
    assert other.price[0, 0] == 1.0
    again = files.get(ONE)
    assert again is not None
    assert again.price[0, 0] == 1.0


@pytest.mark.parametrize("where", [0, 9, 40, 2048, 20480])
def test_a_damaged_file_is_not_read_but_made_again(tmp_path: Path, small, where: int) -> None:
    files = PanelFiles(tmp_path)
    files.put(small(ONE))
    path = next(tmp_path.glob("*.panel"))
    content = bytearray(path.read_bytes())
    content[where] ^= 0x10
    path.write_bytes(content)
    assert files.get(ONE) is None
    same(files.load(ONE, lambda: small(ONE)), small(ONE))


@pytest.mark.parametrize("kept", [0, 1, 20, 100, 1000, 20000])
def test_a_file_cut_short_is_not_read(tmp_path: Path, small, kept: int) -> None:
    files = PanelFiles(tmp_path)
    files.put(small(ONE))
    path = next(tmp_path.glob("*.panel"))
    path.write_bytes(path.read_bytes()[:kept])
    assert files.get(ONE) is None


def test_zeros_where_numbers_were_are_noticed(tmp_path: Path, small) -> None:
    files = PanelFiles(tmp_path)
    files.put(small(ONE))
    path = next(tmp_path.glob("*.panel"))
    content = path.read_bytes()
    path.write_bytes(content[:8192] + bytes(4096) + content[8192 + 4096 :])
    assert files.get(ONE) is None


def test_a_file_under_another_name_is_not_that_panel(tmp_path: Path, small) -> None:
    files = PanelFiles(tmp_path)
    files.put(small(ONE))
    (tmp_path / f"{ONE}.panel").rename(tmp_path / f"{TWO}.panel")
    assert files.get(TWO) is None


def test_those_opened_longest_ago_go_first_and_stay_readable(tmp_path: Path, small) -> None:
    files = PanelFiles(tmp_path, keep=2)
    files.put(small(ONE))
    files.put(small(TWO))
    os.utime(tmp_path / f"{ONE}.panel", (1000, 1000))
    os.utime(tmp_path / f"{TWO}.panel", (2000, 2000))
    opened = files.get(ONE)  # now TWO is the one opened longest ago
    abandoned = tmp_path / ".new-of-a-killed-writer"
    abandoned.write_bytes(b"half")
    os.utime(abandoned, (1000, 1000))
    being_written = tmp_path / ".new-of-a-living-one"
    being_written.write_bytes(b"half")
    files.put(small(THREE))
    assert files.versions() == [ONE, THREE]
    assert not abandoned.exists()
    assert being_written.exists()
    os.utime(tmp_path / f"{ONE}.panel", (1000, 1000))
    files.put(small(FOUR))
    assert files.versions() == [THREE, FOUR]
    assert opened is not None
    same(opened, small(ONE))


def test_threads_make_it_once(tmp_path: Path, small) -> None:
    made: list[int] = []

    def maker() -> Panel:
        made.append(1)
        Event().wait(0.1)
        return small(ONE)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: PanelFiles(tmp_path).load(ONE, maker), range(4)))
    assert len(made) == 1
    for panel in found:
        same(panel, small(ONE))


def test_processes_make_it_once(tmp_path: Path) -> None:
    made = tmp_path / "made"
    command = [sys.executable, str(CHILD), str(tmp_path / "panels"), ONE, str(made)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert answers == [f"{700 * 701.0}\n"] * 2  # 1 + 2 + ... + 700, twice
    assert made.read_text() == "made\n"


def test_an_error_of_the_maker_is_raised_and_the_next_one_tries(tmp_path: Path, small) -> None:
    def maker() -> Panel:
        raise UsageError("no prices")

    files = PanelFiles(tmp_path)
    with pytest.raises(UsageError, match="no prices"):
        files.load(ONE, maker)
    same(files.load(ONE, lambda: small(ONE)), small(ONE))


def test_data_that_changed_meanwhile_is_kept_under_its_own_version(tmp_path: Path, small) -> None:
    files = PanelFiles(tmp_path)
    assert files.load(ONE, lambda: small(TWO)).version == TWO
    assert files.versions() == [TWO]


def test_where_nothing_can_be_kept_the_panel_is_given_all_the_same(tmp_path: Path, small) -> None:
    place = tmp_path / "file"
    place.write_text("in the way")
    files = PanelFiles(place / "panels")
    same(files.load(ONE, lambda: small(ONE)), small(ONE))
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        files.put(small(ONE))


def test_a_version_is_hexadecimal_digits(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the version of a panel"):
        PanelFiles(tmp_path).get("../../etc/passwd")


class Changing:
    """A source whose data, and so its version, is what the test sets; it counts how often it was asked."""

    def __init__(self, made: Callable[..., Panel]) -> None:
        self.now, self.asked, self.read, self._made = "a" * 64, 0, 0, made

    def instruments(self) -> list[str]:
        """As the Protocol."""
        return ["CORN"]

    def version(self, *request: object) -> str:
        """As the Protocol."""
        self.asked += 1
        return self.now

    def panel(self, *request: object) -> Panel:
        """As the Protocol."""
        self.read += 1
        return self._made(self.now)


def test_a_version_that_was_just_asked_for_is_not_computed_again(tmp_path: Path, small) -> None:
    source = Changing(small)
    kept = KeptPanels(source, PanelFiles(tmp_path))
    request = (["CORN"], "USD", "session", None)
    version = kept.version(*request)
    assert kept.panel(*request).version == version
    assert (source.asked, source.read) == (1, 1)
    source.now = "b" * 64  # nobody asked for its version since: it is not taken for the old one
    assert kept.panel(*request).version == "b" * 64
    assert (source.asked, source.read) == (2, 2)


def test_another_request_is_asked_for_its_own_version(tmp_path: Path, small) -> None:
    source = Changing(small)
    kept = KeptPanels(source, PanelFiles(tmp_path))
    kept.version(["CORN"], "USD", "session", None)
    source.now = "b" * 64
    assert kept.panel(["CORN"], "EUR", "session", None).version == "b" * 64
    assert source.asked == 2


def test_data_that_changed_between_version_and_panel_is_told(tmp_path: Path, small) -> None:
    source = Changing(small)
    kept = KeptPanels(source, PanelFiles(tmp_path))
    request = (["CORN"], "USD", "session", None)
    asked = kept.version(*request)
    source.now = "b" * 64
    assert kept.panel(*request).version == "b" * 64 != asked
    assert PanelFiles(tmp_path).versions() == ["b" * 64]
