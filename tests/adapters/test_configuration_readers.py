"""Readers in threads and processes while a writer puts versions in force, and writers who are killed.

`benchmarks/torn_reads.py` gives every one of the 10,000 versions to the processes too; here they get every hundredth.
"""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import torn_reads
from resources.compiled_files import CompiledFiles, Follower, Pointer
from trading.config.in_force import Version

KILLS = 12


def test_no_reader_ever_sees_a_mix_of_two_versions(tmp_path: Path) -> None:
    store = torn_reads.Compiled(tmp_path, torn_reads.first_snapshot(), files_every=100)
    in_threads, in_processes = torn_reads.each_saw(store, versions=10_000, threads=16, processes=4)
    assert (len(in_threads), len(in_processes)) == (16, 4)
    for kind, each in (("thread", in_threads), ("process", in_processes)):
        assert {(seen.mixes, seen.backwards) for seen in each} == {(0, 0)}, kind
        assert min(seen.decisions for seen in each) > 200, kind
        assert min(seen.versions for seen in each) > 20, f"{kind}: so that it is swaps that were read beside"
    assert store.decide() == (10_000,) * 4
    assert Follower(tmp_path).now.number == 10_001


def test_the_same_readers_find_mixes_in_a_mutable_store(tmp_path: Path) -> None:
    seen = torn_reads.run(torn_reads.Mutable(tmp_path), versions=1_000, threads=16, processes=4)
    assert seen.mixes > 0


@pytest.mark.parametrize(("threads", "processes"), [(16, 0), (0, 4)])
def test_threads_alone_and_processes_alone_find_them_too(tmp_path: Path, threads: int, processes: int) -> None:
    seen = torn_reads.run(torn_reads.Mutable(tmp_path), versions=1_000, threads=threads, processes=processes)
    assert seen.mixes > 0


def test_a_reader_that_took_its_version_is_not_disturbed_by_a_swap_between_two_reads(tmp_path: Path) -> None:
    ours = torn_reads.Compiled(tmp_path / "ours", torn_reads.first_snapshot(), files_every=0)
    (tmp_path / "theirs").mkdir()
    theirs = torn_reads.Mutable(tmp_path / "theirs")
    theirs.publish(1, lambda: None)
    taken = ours._in_force.now.snapshot
    first = taken.position_limit("US10"), theirs.decide()[0]
    for store in (ours, theirs):
        store.publish(1 if store is ours else 2, lambda: None)
    second = taken.value("GOLD", "max_order_contracts"), theirs.decide()[3]
    assert (first[0], second[0]) == (0, 0)
    assert (first[1], second[1]) == (1, 2)


def test_a_writer_killed_anywhere_leaves_the_old_version_or_the_new_one_whole(tmp_path: Path, root: Path) -> None:
    writer = _child(root)
    files = CompiledFiles(tmp_path)
    snapshot = writer.changed(torn_reads.first_snapshot(), 1)
    files.point(Pointer(1, snapshot.configuration_hash, files.put(snapshot), "paper", "1"))
    follower, rolled, numbers = Follower(tmp_path), random.Random(5), [1]
    for _ in range(KILLS):
        _kill_after(tmp_path, root, rolled.uniform(0.0, 0.03))
        now = files.version()
        for version in (Version(now.number, files.verify(now.snapshot.content_hash)), follower.now):
            _is_whole(version)
        files.tell()
        assert follower.now.number == now.number
        numbers.append(now.number)
    assert numbers == sorted(numbers)
    assert numbers[-1] > KILLS
    files.forget([])
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [f"{now.snapshot.content_hash}.snapshot"]


def _is_whole(version: Version) -> None:
    """Every value says the version's number."""
    for symbol in ("GOLD", "US10"):
        found = version.snapshot.symbol(symbol)
        assert (found.max_position_contracts, found.max_order_contracts) == (version.number, version.number)


def _kill_after(folder: Path, root: Path, seconds: float) -> None:
    file = root / "tests" / "adapters" / "configuration_writer.py"
    with subprocess.Popen([sys.executable, str(file), str(folder)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        threading.Event().wait(seconds)
        child.kill()


def _child(root: Path) -> ModuleType:
    file = root / "tests" / "adapters" / "configuration_writer.py"
    spec = importlib.util.spec_from_file_location("configuration_writer", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
