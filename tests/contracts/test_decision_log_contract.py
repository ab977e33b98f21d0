"""What every DecisionLog promises (trading.ports.DecisionLog), run against each adapter; and the one in files against
killed writers, torn and damaged segments."""

from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from risk_desk import AT, SESSION, asked, book, desk, engine, market  # noqa: E402

from resources.decision_log import DecisionFiles  # noqa: E402
from resources.risk_memory import MemoryDecisionLog  # noqa: E402
from trading.errors import StoreUnavailable  # noqa: E402
from trading.ports import DecisionLog  # noqa: E402
from trading.risk.engine import RiskEngine  # noqa: E402
from trading.risk.kept import VIOLATIONS, About, Kept, Wanted  # noqa: E402
from trading.risk.layout import OUTCOME_WORDS, REDUCING, layout_of, layout_read  # noqa: E402

ABOUT = About(AT, SESSION)
MINUTE = timedelta(minutes=1)


@pytest.fixture(params=["memory", "files"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DecisionLog]:
    made: DecisionLog = MemoryDecisionLog() if request.param == "memory" else DecisionFiles(tmp_path / "decisions")
    yield made
    made.close()


@pytest.fixture(scope="module")
def judging() -> RiskEngine:
    """It holds 6 of GOLD, where 8 warn and 10 refuse."""
    return engine(positions={("trend", "GOLD", 20240600): 6})


def same(kept: Kept, expected: Kept) -> bool:
    """Whether two say the same, a number that is not known being one."""
    return repr(kept) == repr(expected)


# --- every one of them ------------------------------------------------------------------------------------------------
def test_a_decision_comes_back_as_it_was_given(log: DecisionLog, judging: RiskEngine) -> None:
    decision = judging.check(asked(5, order_id="o1")._replace(limit_points=2000.5))
    about = About(AT, SESSION, "reserve", AT + MINUTE, "strategy trend", True)
    assert log.append([decision], about) == 1
    (kept,) = log.read()
    assert (kept.about, kept.asked, kept.outcome, kept.granted_contracts) == (about, decision.asked, "refuse", 0)
    assert (kept.number, kept.call, kept.reduces, kept.versions) == (1, 1, False, decision.versions)
    assert kept.reasons == decision.reasons
    assert repr(kept.rules) == repr(decision.rules)  # to the last bit, NaN too
    (row,) = [rule for rule in kept.rules if rule.rule == "contract_position"]
    assert (row.element, row.value, row.warn, row.limit, row.outcome) == ("GOLD/20240600", 11.0, 8.0, 10.0, "refuse")
    assert kept.document()["rules"][0]["limit"] is None


@pytest.mark.parametrize(("held", "quantity", "judges", "expected"), [
    (6, 5, (), ("refuse", False)),  # 11 of 10
    (6, 3, (), ("warn", False)),  # 9, where 8 warn
    (6, 1, (), ("pass", None)),  # 7: nobody looks what it was before
    (12, -1, (), ("pass", None)),  # 11, and it only reduces: it passes unseen
    (12, -1, ({"reducing": "judge"},), ("pass", True)),  # 11, it was 12
    (12, 1, (), ("refuse", False)),
])  # fmt: skip
def test_whether_an_order_made_a_value_larger_is_kept_where_it_is_known(
    held: int, quantity: int, judges: tuple[dict[str, str], ...], expected: tuple[str, bool | None], log: DecisionLog
) -> None:
    limit: dict[str, object] = {"rule": "contract_position", "refuse": 10.0, "warn": 8.0}
    for more in judges:
        limit |= more
    made = engine([limit], {("trend", "GOLD", 20240600): held})
    log.append([made.check(asked(quantity))], ABOUT)
    (kept,) = log.read()
    (found,) = [
        (rule.outcome, no_worse)
        for rule, no_worse in zip(kept.rules, kept.no_worse, strict=True) if rule.rule == "contract_position"
    ]  # fmt: skip
    assert found == expected


def test_a_layout_that_was_kept_before_it_said_who_is_judged_is_read(judging: RiskEngine) -> None:
    measured = judging.check(asked(-1)).measured
    assert measured is not None
    document = layout_of(measured.wording).document()
    del document["judging"]
    read = layout_read(document)
    row, outcomes = measured.values[measured.row], measured.outcomes[measured.row].tobytes()
    assert len(read.no_worse(measured.leg, row, outcomes)) == len(read.rules(measured.leg, row, outcomes))


def test_what_is_refused_unseen_is_kept_too(log: DecisionLog, judging: RiskEngine) -> None:
    orders = [asked(math.nan), asked(0), asked(1.5), asked(1, "\ud800"), asked(10**12)]
    log.append([judging.check(order) for order in orders], ABOUT)
    found = list(log.read())[::-1]
    assert [kept.reasons[0].code for kept in found] == [
        "quantity_not_a_number", "quantity_zero", "quantity_not_whole", "unknown_instrument", "quantity_too_large",
    ]  # fmt: skip
    assert {kept.rules for kept in found} == {()}
    assert found[3].asked == orders[3]


def test_decisions_are_found_the_newest_first_by_what_is_wanted(log: DecisionLog, judging: RiskEngine) -> None:
    """Of 6 held: 1 passes, 3 warns (9), 5 refuses (11), -6 reduces."""
    for number, quantity in enumerate((1, 3, 5, -6)):
        strategy = "carry" if number == 1 else "trend"
        decision = judging.check(asked(quantity, strategy=strategy, order_id=f"o{number}"))
        log.append([decision], ABOUT._replace(at=AT + number * MINUTE))
    corn = judging.check(asked(60, "CORN", order_id="o4"))
    log.append([corn], ABOUT._replace(at=AT + 4 * MINUTE, action="reserve"))

    def found(**wanted: object) -> list[str]:
        return [kept.asked.order_id for kept in log.read(Wanted(**wanted))]  # type: ignore[arg-type]

    assert found() == ["o4", "o3", "o2", "o1", "o0"]
    assert found(limit=2) == ["o4", "o3"]
    assert found(since=AT + MINUTE, until=AT + 3 * MINUTE) == ["o3", "o2", "o1"]
    assert found(strategy="carry") == ["o1"]
    assert found(instrument="CORN") == ["o4"]
    assert found(outcomes=("warn",)) == ["o1"]
    assert found(outcomes=VIOLATIONS) == ["o4", "o2", "o1"]
    assert found(reason="contract_position", outcomes=("refuse",)) == ["o4", "o2"]
    assert found(reason="gross_exposure") == ["o4"]
    assert found(order_id="o2", limit=1) == ["o2"]
    assert found(action="reserve") == ["o4"]
    assert [kept.reduces for kept in log.read()] == [False, True, False, False, False]


def test_decisions_of_one_call_stand_together(log: DecisionLog, judging: RiskEngine) -> None:
    assert log.append([], ABOUT) == 0
    assert log.append(judging.check_list([asked(1), asked(1), asked(2)]), ABOUT) == 3
    assert log.append([judging.check(asked(1))], ABOUT) == 4
    assert [(kept.number, kept.call) for kept in log.read()] == [(4, 4), (3, 1), (2, 1), (1, 1)]


def test_decisions_keep_the_levels_they_were_judged_by(log: DecisionLog) -> None:
    judging = engine()
    log.append([judging.check(asked(9))], ABOUT)
    changed = [{"rule": "contract_position", "refuse": 5}]
    judging.limit(desk(changed), "other settings")
    log.append([judging.check(asked(9))], ABOUT._replace(at=AT + MINUTE))
    rows = [rule for kept in log.read() for rule in kept.rules if rule.rule == "contract_position"]
    assert [(row.value, row.limit, row.outcome) for row in rows] == [(9.0, 5.0, "refuse"), (9.0, 10.0, "warn")]
    assert [kept.versions.configuration for kept in log.read()] == ["other settings", "settings"]


def test_old_sessions_are_forgotten(log: DecisionLog, judging: RiskEngine) -> None:
    decision = judging.check(asked(1))
    for days in (11, 10, 0):
        log.append([decision], ABOUT._replace(session=SESSION - timedelta(days=days), at=AT - timedelta(days=days)))
    assert log.prune(10, SESSION) == 1
    assert [kept.about.session for kept in log.read()] == [SESSION, SESSION - timedelta(days=10)]
    assert log.prune(10, SESSION) == 0


def test_many_threads_keep_all(log: DecisionLog, judging: RiskEngine) -> None:
    def keep(name: int) -> None:
        for number in range(50):
            log.append([judging.check(asked(1, order_id=f"{name}-{number}"))], ABOUT)

    threads = [threading.Thread(target=keep, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.flush()
    assert sorted(kept.asked.order_id for kept in log.read()) == sorted(f"{a}-{b}" for a in range(8) for b in range(50))
    assert sorted(kept.number for kept in log.read()) == list(range(1, 401))


# --- in files ---------------------------------------------------------------------------------------------------------
def test_the_codes_are_those_of_the_kernel() -> None:
    from trading.kernels import risk_checks as k
    from trading.risk.wording import OUTCOMES

    assert dict(enumerate(OUTCOME_WORDS)) == OUTCOMES
    assert REDUCING == k.REDUCING


def test_a_layout_is_the_same_after_it_was_read(judging: RiskEngine) -> None:
    measured = judging.check(asked(3)).measured
    assert measured is not None
    made = layout_of(measured.wording)
    assert layout_read(made.document()).document() == made.document()


def test_segments_are_of_bounded_size_and_each_is_read_alone(tmp_path: Path, judging: RiskEngine) -> None:
    log = DecisionFiles(tmp_path, "w", segment_bytes=5_000)
    for number in range(100):
        log.append([judging.check(asked(1, order_id=str(number)))], ABOUT)
    log.close()
    files = sorted((tmp_path / SESSION.isoformat()).iterdir())
    assert len(files) > 5
    assert all(file.stat().st_size < 10_000 for file in files)
    files[1].unlink()
    left = [kept.asked.order_id for kept in DecisionFiles(tmp_path).read()]
    assert left == sorted(left, key=int, reverse=True)
    assert 60 < len(left) < 100


def test_writers_share_a_folder_and_a_name_is_used_again(tmp_path: Path, judging: RiskEngine) -> None:
    for name in ("one", "two", "one"):
        log = DecisionFiles(tmp_path, name)
        log.append([judging.check(asked(1))], ABOUT)
        log.close()
        log.append([judging.check(asked(1))], ABOUT)
        log.close()
    assert sorted(kept.writer for kept in log.read()) == ["one"] * 4 + ["two"] * 2


def test_processes_of_a_joined_name_go_on_with_one_segment(tmp_path: Path, judging: RiskEngine) -> None:
    """Names and versions are told once; numbers go on, of another configuration too."""
    other = engine([{"rule": "order_notional", "refuse": 3}])
    sizes = []
    for number in range(6):
        log = DecisionFiles(tmp_path, "shell", joined=True)
        assert (
            log.append([(other if number == 3 else judging).check(asked(1, order_id=str(number)))], ABOUT) == number + 1
        )
        log.close()
        (file,) = tmp_path.glob("*/*.log")
        sizes.append(file.stat().st_size)
    assert [kept.asked.order_id for kept in log.read()] == ["5", "4", "3", "2", "1", "0"]
    assert [kept.number for kept in log.read()] == [6, 5, 4, 3, 2, 1]
    limits = {kept.number: {r.limit for r in kept.rules if r.rule == "order_notional"} for kept in log.read()}
    assert (limits[4], limits[5] == limits[1]) == ({3.0}, True)
    grown = [after - before for before, after in itertools.pairwise(sizes)]
    assert grown[0] == grown[1] == grown[3] == grown[4] < sizes[0] / 2


def test_a_joined_segment_that_is_torn_or_full_is_left_alone(tmp_path: Path, judging: RiskEngine) -> None:
    def keep(name: str, size: int = 1 << 20) -> list[str]:
        log = DecisionFiles(tmp_path, "shell", size, joined=True)
        log.append([judging.check(asked(1, order_id=name))], ABOUT)
        log.close()
        return sorted(file.name for file in tmp_path.glob("*/*.log"))

    assert keep("a") == ["shell-1.log"]
    (file,) = tmp_path.glob("*/*.log")
    file.write_bytes(file.read_bytes() + b"half a frame")
    assert keep("b") == ["shell-1.log", "shell-2.log"]
    assert keep("c") == ["shell-1.log", "shell-2.log"]
    assert keep("d", 100) == ["shell-1.log", "shell-2.log", "shell-3.log"]
    assert [(kept.asked.order_id, kept.number) for kept in DecisionFiles(tmp_path).read()] == [
        ("d", 4), ("c", 3), ("b", 2), ("a", 1),
    ]  # fmt: skip


def test_who_joins_takes_turns_and_one_that_failed_does_not_stand_in_its_own_way(
    tmp_path: Path, judging: RiskEngine
) -> None:
    def ask(who: int) -> None:
        for each in range(10):
            log = DecisionFiles(tmp_path, "shell", joined=True)
            log.append([judging.check(asked(1, order_id=f"{who}-{each}"))], ABOUT)
            log.close()

    threads = [threading.Thread(target=ask, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = list(DecisionFiles(tmp_path).read())
    assert sorted(each.number for each in kept) == list(range(1, 41))
    assert len({each.asked.order_id for each in kept}) == 40
    log = DecisionFiles(tmp_path / "file", "shell", joined=True)
    log.append([judging.check(asked(1))], ABOUT)
    segment = log._segment
    assert segment is not None
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, segment.handle)  # the disk takes nothing
    os.close(nothing)
    with pytest.raises(StoreUnavailable):
        log.append([judging.check(asked(1))], ABOUT)
    assert log.append([judging.check(asked(1))], ABOUT) == 2
    log.close()


def test_a_torn_tail_is_told_and_what_is_before_it_is_read(tmp_path: Path, judging: RiskEngine) -> None:
    log = DecisionFiles(tmp_path, "w")
    log.append([judging.check(asked(1, order_id=str(number))) for number in range(3)], ABOUT)
    assert log.torn() == []
    log.close()
    (file,) = tmp_path.glob("*/*.log")
    whole = file.read_bytes()
    for cut in (1, 10, 400):
        file.write_bytes(whole[:-cut])
        assert [kept.asked.order_id for kept in log.read()] == ["1", "0"]
        (torn,) = log.torn()
        assert (torn.where, torn.offset + torn.lost_bytes) == (str(file), len(whole) - cut)
    file.write_bytes(whole[:-300] + bytes([whole[-300] ^ 1]) + whole[-299:])
    assert [kept.asked.order_id for kept in log.read()] == ["1", "0"]
    assert len(log.torn()) == 1
    file.write_bytes(b"")
    assert (list(log.read()), log.torn()) == ([], [])


def test_a_full_disk_is_told_and_nothing_is_acknowledged(tmp_path: Path, judging: RiskEngine) -> None:
    """A file may not grow past a size: the system refuses the rest of a write, as a full disk does."""
    code = (
        "import resource, signal, sys\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "from risk_desk import *\n"
        "from trading.errors import StoreUnavailable\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"log, judging = DecisionFiles(Path({str(tmp_path)!r}), 'w'), engine()\n"
        "judging.check(asked(1))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "kept = 0\n"
        "try:\n"
        "    while kept < 1000: kept = log.append([judging.check(asked(1))], About(AT, SESSION))\n"
        "except StoreUnavailable as cause: print(kept, cause)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "cannot be kept" in said.stdout, said
    log = DecisionFiles(tmp_path)
    assert len(list(log.read())) == int(said.stdout.split()[0]) > 5
    assert log.torn() == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, judging: RiskEngine) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        DecisionFiles(tmp_path / "file").append([judging.check(asked(1))], ABOUT)


@pytest.mark.parametrize(("together", "after"), [(1, 700), (50, 2_000)])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, together: int, after: int) -> None:
    """Of 10,000 decisions, in the middle of them: whatever the child said that it kept is there."""
    command = [sys.executable, str(HERE / "risk_desk.py"), "keep", str(tmp_path), "10000", str(together)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    acknowledged = [child.stdout.readline() for _ in range(after)]
    os.kill(child.pid, signal.SIGKILL)
    acknowledged += child.stdout.readlines()
    child.communicate()
    assert after <= len(acknowledged) < 10_000
    log = DecisionFiles(tmp_path)
    kept = {found.asked.order_id: found for found in log.read()}
    assert {line.decode().strip() for line in acknowledged} <= set(kept)
    assert len(list(tmp_path.glob("*/*.log"))) > 1
    assert kept["o8"].rules
    assert all(torn.lost_bytes < 100_000 for torn in log.torn())


def test_reading_needs_no_kernel(tmp_path: Path, judging: RiskEngine) -> None:
    log = DecisionFiles(tmp_path)
    log.append([judging.check(asked(1))], ABOUT)
    code = (
        "import sys; from pathlib import Path; from resources.decision_log import DecisionFiles\n"
        f"print(len(list(DecisionFiles(Path({str(tmp_path)!r})).read())), 'numba' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.split() == ["1", "False"]
    log.close()


def test_facts_of_another_version_share_a_layout(tmp_path: Path) -> None:
    judging, log = engine(), DecisionFiles(tmp_path, "w")
    log.append([judging.check(asked(1))], ABOUT)
    before = sum(file.stat().st_size for file in tmp_path.glob("*/*"))
    judging.load(market("newer facts"), book())
    log.append([judging.check(asked(1))], ABOUT)
    assert [kept.versions.market for kept in log.read()] == ["newer facts", "facts"]
    assert sum(file.stat().st_size for file in tmp_path.glob("*/*")) - before < 2_000
    log.close()


def test_the_session_of_a_decision_is_the_one_it_was_kept_under(tmp_path: Path, judging: RiskEngine) -> None:
    log = DecisionFiles(tmp_path, "w")
    for day in (date(2024, 2, 23), date(2024, 2, 26), date(2024, 2, 23)):
        log.append([judging.check(asked(1))], ABOUT._replace(session=day))
    log.close()
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["2024-02-23", "2024-02-26"]
    assert [kept.about.session.day for kept in log.read()].count(23) == 2
