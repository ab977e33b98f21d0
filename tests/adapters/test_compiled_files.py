"""Compiled configurations on a disk: whole or not there, one version in force, followers that see it change."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from benchmarks.torn_reads import first_snapshot
from resources.compiled_files import CompiledFiles, Follower, Pointer
from trading.config.in_force import InForce
from trading.config.snapshot import Snapshot
from trading.errors import ConfigError, SnapshotRefused, StaleVersion, StoreUnavailable


def numbered(number: int) -> Snapshot:
    """A snapshot whose position limit of US10 is its number."""
    return first_snapshot().with_symbol("US10", {"max_position_contracts": number})


def pointer(number: int, snapshot: str) -> Pointer:
    """A version of the paper environment."""
    return Pointer(number, "0" * 64, snapshot, "paper", "2022-02-25T21:00:00+00:00")


@pytest.fixture
def files(tmp_path: Path) -> CompiledFiles:
    """Nothing in force yet."""
    return CompiledFiles(tmp_path / "config")


def applied(files: CompiledFiles, number: int, expected: int | None = None) -> Pointer:
    """Puts `numbered(number)` in force."""
    new = pointer(number, files.put(numbered(number)))
    files.point(new, expected)
    return new


# --- keeping ----------------------------------------------------------------------------------------------------------
def test_what_is_put_is_opened_again_by_its_content_hash(files: CompiledFiles) -> None:
    snapshot = numbered(3)
    name = files.put(snapshot.content())
    assert name == snapshot.content_hash == files.put(snapshot)
    assert files.hashes() == [name]
    for opened in (files.open(name), files.verify(name)):
        assert opened.content() == snapshot.content()
        assert opened.column("max_position_contracts").readonly


def test_what_is_damaged_is_not_put(files: CompiledFiles) -> None:
    content = bytearray(numbered(3).content())
    content[content.index(b"GOLDUS10")] ^= 1
    with pytest.raises(SnapshotRefused, match="is not what was written"):
        files.put(bytes(content))
    with pytest.raises(SnapshotRefused, match="no compiled configuration"):
        files.put(b"something else")
    assert files.hashes() == []


def test_a_damaged_file_is_refused_by_name_and_replaced_by_putting_it_again(files: CompiledFiles) -> None:
    content = numbered(3).content()
    name = files.put(content)
    file = files.folder / "snapshots" / f"{name}.snapshot"
    for damaged, said in (
        (content[:-8], "of the"),
        (content[:40] + b"\0" + content[41:], "checksum does not fit"),
        (b"", "not there, or empty"),
        (numbered(4).content(), "holds another one"),
    ):
        file.unlink()
        file.write_bytes(damaged)
        with pytest.raises(SnapshotRefused, match=f"{name}.*{said}"):
            files.open(name)
    file.unlink()
    with pytest.raises(SnapshotRefused, match=r"is not there.*daybook config apply"):
        files.open(name)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert files.put(content) == name
    assert files.verify(name).position_limit("US10") == 3


def test_a_name_that_is_no_hash_reaches_no_file(files: CompiledFiles) -> None:
    with pytest.raises(ConfigError, match="is not a content hash"):
        files.open("../../etc/passwd")


def test_what_is_forgotten_stays_with_those_who_have_it(files: CompiledFiles) -> None:
    names = [applied(files, number).snapshot for number in (1, 2, 3)]
    (files.folder / "snapshots" / ".new-left").write_bytes(b"by a killed writer")
    opened = files.open(names[1])
    assert files.forget([names[0]]) == 2
    assert files.hashes() == sorted([names[0], names[2]])
    assert opened.position_limit("US10") == 2


def test_what_another_writer_has_just_written_is_not_forgotten(files: CompiledFiles) -> None:
    """He points at it next; what is older than that is nobody's."""
    old, now = (applied(files, number).snapshot for number in (1, 2))
    written, draft = files.put(numbered(3)), files.folder / "snapshots" / ".new-his"
    draft.write_bytes(b"half of it")
    pointed = (files.folder / "current").stat().st_mtime
    os.utime(files.folder / "snapshots" / f"{old}.snapshot", (pointed - 61, pointed - 61))
    assert files.forget([], spare_s=60) == 1
    assert (files.hashes(), draft.exists()) == (sorted([now, written]), True)


def test_a_disk_that_may_not_be_written_is_said(files: CompiledFiles, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable, match="config cannot be used"):
        files.put(numbered(1))


# --- the pointer ------------------------------------------------------------------------------------------------------
def test_nothing_is_in_force_at_first(files: CompiledFiles) -> None:
    assert files.pointer() is None
    for asked in (files.version, files.tell, lambda: Follower(files.folder)):
        with pytest.raises(ConfigError, match=r"ever put in force in .*daybook config apply --reason"):
            asked()


def test_of_two_writers_of_a_version_one_wins(files: CompiledFiles) -> None:
    applied(files, 1, expected=0)
    first = applied(files, 2, expected=1)
    with pytest.raises(StaleVersion, match="version 1 was to be replaced by 3, but version 2 is in force"):
        applied(files, 3, expected=1)
    other = pointer(2, files.put(numbered(5)))
    with pytest.raises(StaleVersion, match="version 2 is not later than version 2"):
        files.point(other)
    with pytest.raises(StaleVersion, match="version 1 is not later"):
        applied(files, 1)
    assert files.pointer() == first
    files.point(first, expected=1)  # repeated after a crash: in force already
    assert files.pointer() == first


def test_writers_at_once_put_every_version_in_force_once(files: CompiledFiles) -> None:
    applied(files, 1)
    won: list[int] = []

    def write(writer: int) -> None:
        for _ in range(15):
            now = files.version().number
            new = pointer(now + 1, files.put(numbered(now + 1)))._replace(at=f"by {writer}")
            try:
                files.point(new, expected=now)
            except StaleVersion:
                continue
            won.append(now + 1)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(won) == list(range(2, len(won) + 2))
    assert files.version().snapshot.position_limit("US10") == len(won) + 1


def test_a_version_without_its_snapshot_is_not_put_in_force(files: CompiledFiles) -> None:
    first = applied(files, 1)
    with pytest.raises(SnapshotRefused, match="is not there"):
        files.point(pointer(2, "a" * 64))
    assert files.pointer() == first


@pytest.mark.parametrize("text", ["", "{", "[]", '{"number": 1}', json.dumps(pointer(1, "short")._asdict())])
def test_a_pointer_that_says_nothing_is_refused(files: CompiledFiles, text: str) -> None:
    applied(files, 1)
    (files.folder / "current").write_text(text)
    with pytest.raises(ConfigError, match="does not say which configuration is in force"):
        files.pointer()


# --- followers --------------------------------------------------------------------------------------------------------
def test_a_follower_sees_each_version_when_it_is_put_in_force(files: CompiledFiles) -> None:
    applied(files, 1)
    follower = Follower(files.folder)
    before = follower.now
    assert follower.now is before
    for number in (2, 3, 10):
        applied(files, number)
        assert follower.now.number == follower.now.snapshot.position_limit("US10") == number
    assert before.snapshot.position_limit("US10") == 1


def test_a_writer_who_died_before_telling_followers_is_made_up_for(files: CompiledFiles) -> None:
    applied(files, 1)
    follower = Follower(files.folder)
    assert follower.now.number == 1
    second = pointer(2, files.put(numbered(2)))
    (files.folder / "current").write_text(json.dumps(second._asdict()))  # as far as he came
    assert follower.now.number == 1
    files.tell()
    assert follower.now.number == 2
    for size in (0, 3):
        (files.folder / "generation").unlink()
        (files.folder / "generation").write_bytes(bytes(size))
        assert Follower(files.folder).now.number == 2


def test_a_follower_keeps_the_old_version_when_the_new_one_is_damaged(files: CompiledFiles) -> None:
    applied(files, 1)
    follower = Follower(files.folder)
    assert follower.fault is None
    second = applied(files, 2)
    file = files.folder / "snapshots" / f"{second.snapshot}.snapshot"
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[:100])
    assert follower.now.number == 1
    assert isinstance(follower.fault, SnapshotRefused)
    applied(files, 3)
    assert follower.now.number == 3
    assert follower.fault is None


def test_a_follower_never_goes_back(files: CompiledFiles, tmp_path: Path) -> None:
    applied(files, 1)
    shutil.copytree(files.folder, tmp_path / "older")
    applied(files, 2)
    follower = Follower(files.folder)
    assert follower.now.number == 2
    shutil.copy(tmp_path / "older" / "current", files.folder / "current")
    files.tell()
    assert follower.now.number == 2


def test_a_reader_does_not_wait_for_the_thread_that_opens_the_new_version(files: CompiledFiles) -> None:
    applied(files, 1)
    follower = Follower(files.folder)
    assert follower.now.number == 1
    applied(files, 2)
    with follower._opening:  # as while another thread opens it
        assert follower.now.number == 1
    assert follower.now.number == 2


def test_a_thread_keeps_the_reference_of_its_process_at_the_version_in_force(files: CompiledFiles) -> None:
    applied(files, 1)
    follower, stop = Follower(files.folder), threading.Event()
    in_force = InForce(follower.now)
    keeper = threading.Thread(target=follower.keep, args=(in_force, stop, 0.001))
    keeper.start()
    for number in (2, 3, 9):
        applied(files, number)
        for _ in range(2_000):
            if in_force.now.number == number or stop.wait(0.001):
                break
        assert in_force.now.number == in_force.now.snapshot.position_limit("US10") == number
    stop.set()
    keeper.join(5)
    assert not keeper.is_alive()


def test_what_could_not_be_opened_is_tried_again(files: CompiledFiles) -> None:
    applied(files, 1)
    follower, stop = Follower(files.folder), threading.Event()
    in_force = InForce(follower.now)
    second = applied(files, 2)
    file = files.folder / "snapshots" / f"{second.snapshot}.snapshot"
    file.rename(file.with_suffix(".away"))
    assert follower.now.number == 1
    keeper = threading.Thread(target=follower.keep, args=(in_force, stop, 0.001))
    keeper.start()
    assert not stop.wait(0.02)
    assert (in_force.now.number, type(follower.fault)) == (1, SnapshotRefused)
    file.with_suffix(".away").rename(file)
    for _ in range(2_000):
        if in_force.now.number == 2 or stop.wait(0.001):
            break
    stop.set()
    keeper.join(5)
    assert (in_force.now.number, follower.fault) == (2, None)


def test_followers_hold_no_more_files_open(files: CompiledFiles) -> None:
    applied(files, 1)
    follower = Follower(files.folder)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(2, 30):
        applied(files, number)
        assert follower.now.number == number
    assert len(os.listdir("/proc/self/fd")) <= before + 2
