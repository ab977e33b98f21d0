"""The child that checks configurations: real processes, ended in every way there is."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import compiler_tasks as tasks

from resources.config_compiler import ConfigCompiler
from trading.errors import Cancelled, ConfigError, DeadlinePassed, MemoryCeilingPassed, WorkerLost


@contextmanager
def compiler(
    function: Callable[..., Any], timeout_s: float = 20, memory_mb: float = 500
) -> Iterator[ConfigCompiler[..., Any]]:
    """A compiler that is closed afterwards."""
    made = ConfigCompiler(function, timeout_s, memory_mb)
    try:
        yield made
    finally:
        made.close()


def gone(pid: int, within_s: float = 10) -> bool:
    """Whether a process ends in time; one that nobody has buried yet counts."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        threading.Event().wait(0.02)
    return False


def test_one_request_has_one_answer_and_the_child_stays() -> None:
    with compiler(tasks.process) as child:
        first, second = child.ask(None), child.ask(None)
        assert first == second
        assert first[:2] == (child.pid, os.getpid())
        assert child.restarts == 0


def test_it_runs_below_our_own_priority() -> None:
    with compiler(tasks.process) as child:
        assert child.ask(None)[2] == min(19, os.nice(0) + 10)


def test_arguments_by_place_and_by_name() -> None:
    with compiler(tasks.doubled) as child:
        assert (child.ask(4), child.ask(4, plus=3)) == (8, 11)


def test_what_the_child_raises_is_raised_here_and_the_child_lives_on() -> None:
    with compiler(tasks.refused) as child:
        for text in ("risk.x is 3. Correct it.", "another"):
            with pytest.raises(ConfigError) as found:
                child.ask(text)
            assert str(found.value) == text
        assert child.restarts == 0


def test_an_error_that_cannot_be_sent_says_the_same() -> None:
    with compiler(tasks.refused_in_its_own_way) as child, pytest.raises(ConfigError, match="is not a session: a hol"):
        child.ask(None)


def test_a_fault_of_the_code_is_a_refusal_that_says_so() -> None:
    with compiler(tasks.broken) as child, pytest.raises(ConfigError, match=r"ZeroDivisionError: by nought.*fault of"):
        child.ask(None)


def test_what_the_child_prints_disturbs_nothing() -> None:
    with compiler(tasks.talkative) as child:
        assert child.ask(None) == "answered"


def test_a_child_killed_between_requests_is_replaced() -> None:
    with compiler(tasks.process) as child:
        old = child.ask(None)[0]
        os.kill(old, signal.SIGKILL)
        new = child.ask(None)[0]
        assert new != old
        assert child.restarts == 1


def test_a_child_killed_at_work_is_replaced_and_asked_again(tmp_path: Path) -> None:
    with compiler(tasks.killed_once) as child:
        assert child.ask(str(tmp_path / "mark")) == "done"
        assert child.restarts == 1


def test_a_child_that_always_dies_is_given_up_with_a_sentence() -> None:
    with compiler(tasks.killed) as child:
        with pytest.raises(WorkerLost, match="died, and so did the one after it"):
            child.ask(None)
        assert child.pid is not None, "the next request finds a child"


def test_what_takes_too_long_is_stopped_and_the_next_request_is_answered() -> None:
    with compiler(tasks.slow, timeout_s=0.5) as child:
        first = child.ask(0)
        began = time.monotonic()
        with pytest.raises(DeadlinePassed, match=r"more than 0\.5 s"):
            child.ask(60)
        assert time.monotonic() - began < 5
        assert gone(first)
        assert child.ask(0) != first


@pytest.mark.timeout(60)
@pytest.mark.parametrize("task", [tasks.half_said, tasks.said_in_drops])
def test_the_deadline_holds_for_an_answer_that_stops_in_the_middle_or_never_ends(task: Callable[..., Any]) -> None:
    with compiler(task, timeout_s=0.5) as child:
        child.ask(0) if task is tasks.half_said else child.start()
        began = time.monotonic()
        with pytest.raises(DeadlinePassed, match=r"more than 0\.5 s"):
            child.ask(20)
        assert time.monotonic() - began < 10
        assert child.restarts == 1


@pytest.mark.timeout(60)
def test_an_answer_that_stops_in_the_middle_can_be_cancelled() -> None:
    async def cancelled() -> None:
        await asyncio.wait_for(child.asked(60), 0.3)

    with compiler(tasks.half_said) as child:
        child.ask(0)
        with pytest.raises((asyncio.TimeoutError, Cancelled)):
            asyncio.run(cancelled())
        assert child.ask(0) == "said"


@pytest.mark.timeout(60)
def test_a_child_that_does_not_take_a_long_request_is_not_waited_for() -> None:
    with compiler(tasks.refused, timeout_s=0.5) as child:
        with pytest.raises(ConfigError, match="here"):
            child.ask("here")
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(DeadlinePassed):
            child.ask("x" * 10_000_000)


def test_a_long_answer_is_whole() -> None:
    with compiler(tasks.long_answer) as child:
        assert child.ask(20) == b"0123456789" * 2_000_000


def test_what_takes_too_much_memory_is_stopped() -> None:
    with compiler(tasks.large, memory_mb=200) as child:
        with pytest.raises(MemoryCeilingPassed, match="more than 200 MB"):
            child.ask(400)
        assert child.restarts == 1


def test_many_threads_are_answered_in_turn() -> None:
    answers: list[int] = []
    with compiler(tasks.doubled) as child:
        threads = [threading.Thread(target=lambda n=n: answers.append(child.ask(n))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert sorted(answers) == [0, 2, 4, 6, 8, 10, 12, 14]


def test_an_event_loop_goes_on_while_it_waits() -> None:
    async def both() -> tuple[int, int]:
        beats = 0
        work = asyncio.ensure_future(child.asked(0.5))
        while not work.done():
            await asyncio.sleep(0.01)
            beats += 1
        return beats, await work

    with compiler(tasks.slow) as child:
        child.ask(0)
        beats, answered_by = asyncio.run(both())
        assert beats >= 10
        assert answered_by == child.pid


def test_cancelling_ends_the_work() -> None:
    async def cancelled() -> None:
        await asyncio.wait_for(child.asked(60), 0.3)

    with compiler(tasks.slow) as child:
        first = child.ask(0)
        with pytest.raises((asyncio.TimeoutError, Cancelled)):
            asyncio.run(cancelled())
        assert gone(first)
        assert child.ask(0) != first


def test_closing_leaves_no_process() -> None:
    with compiler(tasks.process) as child:
        pid = child.ask(None)[0]
        child.close()
        assert gone(pid)
        assert child.pid is None


PARENT = """
import sys
sys.path[:] = {path!r}
import compiler_tasks
from resources.config_compiler import ConfigCompiler
child = ConfigCompiler(compiler_tasks.slow, 600, 500)
print(child.ask(0), flush=True)
child.ask(600)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_child_ends_with_its_parent_also_while_it_works(how: int) -> None:
    program = PARENT.format(path=sys.path)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child, 0.2)
        parent.send_signal(how)
        assert gone(child)
