"""`daybook risk` on a desk that loaded two instruments and closed a session: asking about orders, limits, halts, kept
decisions and replaying them. Does not belong here: what values are (tests of the engine), or the service."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.settings import place
from pipelines.wiring import decision_log
from resources.sqlite_ledger import SqliteLedger
from trading.risk.decision import Asked, Decision, Reason, Versions
from trading.risk.kept import About

Run = Callable[..., Any]
DAY = "2021-03-30"
ORDER = ("check", "--strategy", "trend", "--instrument", "CORN", "--session", DAY)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, loaded_two: Path, daybook: Run) -> Path:
    """Closed on one session. Not to be changed: copy it."""
    home = tmp_path_factory.mktemp("risk") / "home"
    shutil.copytree(loaded_two, home)
    ended = daybook("close", "--home", home, "--session", DAY)
    assert ended.code in (0, 1), ended.err  # a quarter is too short for some checks, which are not this test's matter
    return home


@pytest.fixture
def home(closed: Path, copied: Callable[[Path], Path]) -> Path:
    return copied(closed)


@pytest.fixture
def risk(home: Path, daybook: Run) -> Run:
    """`risk("limits")` on the home."""
    return lambda *words: daybook("risk", *words, "--home", home)


def asked(risk: Run, quantity: object, *more: object) -> tuple[int, dict[str, Any]]:
    """How an order of corn is answered: exit code, and document."""
    ended = risk(*ORDER, "--quantity", quantity, "--json", *more)
    return ended.code, ended.document


def limited(home: Path, *entries: str) -> None:
    """Adds limits to the desk's own file."""
    with (home / "desk.toml").open("a", encoding="utf-8") as file:
        file.write("".join(f"\n[[risk.limits]]\n{entry}\n" for entry in entries))


def events(home: Path) -> int:
    """How many the journal has."""
    ledger = SqliteLedger(home / "ledger.sqlite")
    try:
        return ledger.sequence()
    finally:
        ledger.close()


# --- asking -----------------------------------------------------------------------------------------------------------
def test_an_order_that_passes_shows_every_rule_and_is_not_placed(risk: Run, home: Path) -> None:
    before = events(home)
    code, found = asked(risk, 1)
    assert (code, found["decision"], found["reasons"], found["session"]) == (0, "pass", [], DAY)
    assert (found["contract"], found["granted_contracts"], found["ok"]) == (20221200, 1, True)
    rules = {(row["rule"], row["axis"]): row for row in found["rules"]}
    size = rules["order_size", "holding"]
    assert (size["element"], size["value"], size["unit"]) == ("trend/CORN", 1.0, "contracts")
    assert size["headroom"] == size["limit"] - 1.0
    assert rules["restricted", "holding"]["limit"] is None
    assert events(home) == before


def test_an_order_above_a_limit_is_refused_and_says_by_how_much(risk: Run) -> None:
    """Nothing is held, and the order at work sells: 501 more is all there can be."""
    code, found = asked(risk, 501)
    assert (code, found["decision"], found["granted_contracts"], found["ok"]) == (1, "refuse", 0, False)
    row = next(row for row in found["rules"] if row["rule"] == "position_size")
    assert (row["value"], row["limit"], row["headroom"]) == (501.0, 500.0, -1.0)
    (reason,) = [reason for reason in found["reasons"] if reason["code"] == "position_size"]
    assert reason["message"].endswith("Reduce the position, or raise max_position_contracts.")
    shown = risk(*ORDER, "--quantity", 501)
    assert shown.code == 1
    assert shown.out.startswith("REFUSED: +501 CORN/20221200 for trend, as of 2021-03-30\n")


@pytest.mark.parametrize(("quantity", "code"), [
    ("0", "quantity_zero"), ("1.5", "quantity_not_whole"), ("nan", "quantity_not_a_number"),
    ("inf", "quantity_too_large"), ("-1e300", "quantity_too_large"),
])  # fmt: skip
def test_a_quantity_that_is_none_is_bad_input(quantity: str, code: str, risk: Run) -> None:
    ended, found = asked(risk, quantity)
    assert (ended, found["decision"], [reason["code"] for reason in found["reasons"]]) == (2, "refuse", [code])


@pytest.mark.parametrize(("words", "code", "meant"), [
    (("--instrument", "CRON"), "unknown_instrument", "Did you mean CORN?"),
    (("--strategy", "trnd"), "unknown_strategy", "Did you mean trend?"),
    (("--contract", "20300100"), "unknown_contract", "Contracts with a price are: 20211200, 20221200, 20231200."),
])  # fmt: skip
def test_an_unknown_name_is_bad_input_and_says_what_is_meant(
    words: tuple[str, str], code: str, meant: str, risk: Run
) -> None:
    ended, found = asked(risk, 1, *words)
    assert (ended, [reason["code"] for reason in found["reasons"]], found["meant"]) == (2, [code], meant)
    assert meant in " ".join(risk(*ORDER, "--quantity", 1, *words).out.split())


@pytest.mark.parametrize(("words", "said"), [
    (("--session", "2021-03-28"), "Sunday"), (("--session", "2022-03-30"), "no prices of 2022-03-30 yet"),
    (("--session", "tomorrow"), "does not match the format"), (("--quantity", "many"), "is not a valid float"),
])  # fmt: skip
def test_what_cannot_be_asked_is_said(words: tuple[str, str], said: str, risk: Run) -> None:
    ended = risk(*ORDER, "--quantity", 1, *words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def test_a_home_that_is_no_desk_is_refused(tmp_path: Path, daybook: Run) -> None:
    for words in (("limits",), ("headroom",), ("halts",), ("decisions",), (*ORDER, "--quantity", "1")):
        ended = daybook("risk", *words, "--home", tmp_path / "nothing")
        assert (ended.code, "there is no desk" in ended.err) == (2, True)


def test_a_collar_judges_the_price(risk: Run, home: Path) -> None:
    limited(home, 'rule = "price_collar"\nrefuse = 0.05')
    mark = 500.0
    assert asked(risk, 1)[0] == 0  # at market
    code, found = asked(risk, 1, "--price", 2 * mark)
    assert (code, [reason["code"] for reason in found["reasons"]]) == (1, ["price_collar"])


def test_what_cannot_be_measured_refuses_and_says_so(risk: Run, home: Path) -> None:
    """This vendor delivers no volumes."""
    limited(home, 'rule = "participation"\nrefuse = 0.1')
    code, found = asked(risk, 1)
    assert (code, [reason["code"] for reason in found["reasons"]]) == (1, ["missing:participation"])
    row = next(row for row in found["rules"] if row["rule"] == "participation")
    assert (row["value"], row["headroom"], row["limit"]) == (None, None, 0.1)


# --- limits and headroom ----------------------------------------------------------------------------------------------
def test_limits_say_what_is_in_force_and_which_entry_it_is_of(risk: Run, home: Path) -> None:
    limited(
        home, 'rule = "gross_exposure"\nrefuse = 5.0\nby = "asset_class"', 'rule = "gross_exposure"\nwarn = 15.0',
        'rule = "gross_exposure"\nasset_class = "bond"\nrefuse = 3.0',
        'rule = "restricted"\nrefuse = 0.0\ninstrument = "BUND"\neffective_until = 2021-03-29',
    )  # fmt: skip
    rows = {(row["rule"], row["by"], row["element"]): row for row in risk("limits", "--json").document["rows"]}
    levels = {element: (row["refuse"], row["warn"], row["from"]) for (rule, _, element), row in rows.items()
              if rule == "gross_exposure"}  # fmt: skip
    assert levels == {
        "book": (20.0, 15.0, "max_gross_exposure_fraction and risk.limits entry 2"),
        "agriculture": (5.0, None, "risk.limits entry 1"), "bond": (3.0, None, "risk.limits entry 3"),
    }  # fmt: skip
    assert not [key for key in rows if key[0] == "restricted"], "it ended the day before"
    assert rows["halt", "holding", "trend/CORN"]["from"] == "the rule"
    corn = risk("limits", "--instrument", "CORN", "--rule", "gross_exposure", "--json").document
    assert [row["element"] for row in corn["rows"]] == ["book", "agriculture"]
    assert corn["count"] == 2


def test_limits_tell_who_owns_them_and_which_hold_for_nothing(risk: Run, home: Path) -> None:
    limited(
        home, 'rule = "gross_exposure"\nasset_class = "bond"\nrefuse = 3.0\nowner = "risk committee"',
        'rule = "gross_exposure"\nsector = "unheard"\nrefuse = 3.0', 'rule = "stress"\nwarn = 0.1',
    )  # fmt: skip
    found = risk("limits", "--rule", "gross_exposure", "--json").document
    assert {row["from"] for row in found["rows"] if row["element"] == "bond"} == {
        "risk.limits entry 1 of risk committee"
    }  # fmt: skip
    assert [note.split(" limits nothing: ")[0] for note in found["notes"]] == [
        "risk.limits entry 2, gross_exposure of sector unheard,", "risk.limits entry 3, stress of every scenario,",
    ]  # fmt: skip
    shown = " ".join(risk("limits").out.split())
    assert "refuses above 3 times capital; from risk.limits entry 1 of risk committee" in shown
    assert f"note: {found['notes'][0]}" in shown


def test_headroom_of_the_standing_book(risk: Run, home: Path) -> None:
    found = risk("headroom", "--json", "--session", DAY).document
    used = [row["used"] for row in found["rows"] if row["state"] == "pass"]
    assert used == sorted(used, reverse=True)
    (gross,) = [row for row in found["rows"] if (row["rule"], row["by"]) == ("gross_exposure", "portfolio")]
    assert gross["headroom"] == pytest.approx(20.0 - gross["value"])
    assert gross["used"] == pytest.approx(gross["value"] / 20.0)
    limited(home, f'rule = "gross_exposure"\nby = "asset_class"\nrefuse = {gross["value"] / 100}')
    passed = risk("headroom", "--rule", "gross_exposure", "--json")
    assert (passed.code, passed.document["rows"][0]["state"]) == (1, "refuse")
    every = risk("headroom", "--all", "--rule", "gross_exposure", "--json").document["rows"]
    assert {row["by"] for row in every if row["used"] is None} == {"sector", "country", "currency", "exchange_group"}
    assert risk("headroom", "--rule", "gross_exposur").err.startswith(
        "daybook: there is no rule gross_exposur. Did you"
    )


def test_a_limit_is_in_force_for_the_next_order(risk: Run, home: Path) -> None:
    assert asked(risk, 4)[0] == 0
    limited(home, 'rule = "order_notional"\nstrategy = "trend"\nrefuse = 0.000001\nwarn = 0.0000005')
    code, found = asked(risk, 4)
    assert (code, [reason["code"] for reason in found["reasons"]]) == (1, ["order_notional"])


def test_on_paper_a_limit_is_in_force_once_it_is_applied(risk: Run, home: Path, daybook: Run) -> None:
    file = home / "desk.toml"
    file.write_text(file.read_text().replace("schema = 2\n", 'schema = 2\nenvironment = "paper"\n'))
    assert daybook("config", "apply", "--reason", "paper", "--home", home).code == 0
    limited(home, 'rule = "order_notional"\nrefuse = 0.000001')
    before = asked(risk, 1)
    assert daybook("config", "apply", "--reason", "a cap", "--home", home).code == 0
    after = asked(risk, 1)
    assert (before[0], after[0]) == (0, 1)
    assert before[1]["versions"]["configuration"] != after[1]["versions"]["configuration"]
    shown = daybook("config", "status", "--home", home, "--json").document
    assert after[1]["versions"]["configuration"] == shown["configuration"]


# --- halts ------------------------------------------------------------------------------------------------------------
def test_a_halt_stops_orders_until_somebody_resumes(risk: Run) -> None:
    made = risk("halt", "--instrument", "CORN", "--mode", "nothing", "--by", "anna", "--reason", "a drill", "--json")
    name = made.document["id"]
    code, found = asked(risk, 1)
    assert (code, [reason["code"] for reason in found["reasons"]]) == (1, ["halt"])
    assert found["meant"] == f"Halt {name} of instrument CORN (nothing) by anna: a drill."
    assert asked(risk, 1, "--instrument", "BUND")[0] == 0
    held = risk("halts", "--json").document
    assert ([row["id"] for row in held["in_force"]], held["past"]) == ([name], [])
    done = risk("resume", name[:5], "--by", "bert", "--reason", "it is over", "--json")
    assert (done.code, done.document["resumed_by"]) == (0, "bert")
    assert asked(risk, 1)[0] == 0
    (past,) = risk("halts", "--json").document["past"]
    assert (past["by"], past["resumed_by"], past["resumed_because"]) == ("anna", "bert", "it is over")
    again = risk("resume", name, "--by", "bert", "--reason", "again")
    assert (again.code, "bert resumed: it is over" in again.err) == (2, True)


@pytest.mark.parametrize(("words", "said"), [
    (("halt", "--reason", "x"), "one of --everything"), (("halt", "--everything"), "need a reason"),
    (("halt", "--everything", "--strategy", "trend", "--reason", "x"), "one of --everything"),
    (("halt", "--instrument", "CRON", "--reason", "x"), "Did you mean CORN?"),
    (("halt", "--strategy", "trnd", "--reason", "x"), "Did you mean trend?"),
    (("halt", "--everything", "--reason", "x", "--by", " "), "need a name"),
    (("halt", "--everything", "--reason", "x", "--until", "2020-01-01"), "is past"),
    (("halt", "--everything", "--reason", "x", "--until", "soon"), "is not an instant"),
    (("resume", "abc", "--by", "anna", "--reason", "x"), "no halt abc is in force"),
    (("resume", "abc", "--reason", "x"), "Missing option '--by'"),
])  # fmt: skip
def test_a_halt_that_means_nothing_is_refused(words: tuple[str, ...], said: str, risk: Run, home: Path) -> None:
    ended = risk(*words)
    assert (ended.code, said in ended.err) == (2, True), ended.err
    assert risk("halts").out.split("\n")[:2] == ["halts in force: none", "halts that ended: none"]


# --- decisions --------------------------------------------------------------------------------------------------------
def test_a_close_keeps_its_decisions_and_a_check_its_own(risk: Run, home: Path) -> None:
    kept = risk("decisions", "--json").document["rows"]
    orders = {row["order_id"]: row for row in kept}
    assert sorted(row["instrument"] for row in kept) == ["BUND", "CORN"]
    assert {(row["by"], row["action"], row["session"], row["decision"]) for row in kept} == {
        ("close", "reserve", DAY, "pass")
    }  # fmt: skip
    assert len(orders) == 2
    assert all(row["microseconds"] > 0.0 for row in kept)
    asked(risk, 501)
    (newest, *rest) = risk("decisions", "--json").document["rows"]
    assert (newest["action"], newest["decision"], len(rest)) == ("check", "refuse", 2)
    files = sorted((home / "risk" / "decisions" / DAY).iterdir())
    asked(risk, 1)
    assert sorted((home / "risk" / "decisions" / DAY).iterdir()) == files, "questions of the shell go into one file"
    (newest, before, *rest) = risk("decisions", "--json").document["rows"]
    assert (newest["decision"], before["decision"], len(rest)) == ("pass", "refuse", 2)
    assert (newest["writer"], newest["number"]) == (before["writer"], before["number"] + 1)
    assert [row["action"] for row in risk("decisions", "--outcome", "refuse", "--json").document["rows"]] == ["check"]
    assert risk("decisions", "--since", "2021-03-31", "--json").document["count"] == 0
    assert risk("decisions", "--reason", "position_size", "--limit", 1, "--json").document["count"] == 1
    assert "+501 CORN/20221200" in " ".join(risk("decisions").out.split())
    assert "Exchange the two" in risk("decisions", "--since", "2021-03-31", "--until", DAY).err


def test_a_close_tells_which_orders_risk_refused_and_why(loaded_two: Path, tmp_path: Path, daybook: Run) -> None:
    """Closed again without the limit, the order goes out, and what was refused before is not told any more."""
    home = tmp_path / "home"
    shutil.copytree(loaded_two, home)
    before = (home / "desk.toml").read_text() if (home / "desk.toml").exists() else None
    limited(home, 'rule = "restricted"\nrefuse = 0.0\ninstrument = "CORN"')
    ended = daybook("close", "--home", home, "--session", DAY, "--json").document
    refused = daybook("risk", "decisions", "--home", home, "--outcome", "refuse", "--json").document["rows"]
    assert ([row["instrument"] for row in refused], ended["refused_by_risk"]) == (["CORN"], 1)
    (told,) = ended["refused"]
    assert (told["order_id"], told["session"]) == (refused[0]["order_id"], DAY)
    assert str(told["refusal"]).startswith("restricted of trend/CORN")
    assert ended["rolled_beyond_limits"] == []
    assert "restricted of trend/CORN" in " ".join(daybook("close", "--home", home, "--session", DAY).out.split())
    (home / "desk.toml").write_text(before) if before is not None else (home / "desk.toml").unlink()
    again = daybook("close", "--home", home, "--session", DAY, "--json").document
    assert (again["refused_by_risk"], again["refused"]) == (0, [])


def test_a_close_tells_of_rolls_that_went_beyond_a_limit(loaded_two: Path, tmp_path: Path, daybook: Run) -> None:
    """As their decisions are kept; not of those that passed, or that somebody asked about."""
    home, leg = tmp_path / "home", Asked("trend", "CORN", 20221200, 7, None, "the leg")
    shutil.copytree(loaded_two, home)
    why = (Reason("order_size", "order_size of trend/CORN: 7 contracts passes the warning level of 5."),)
    versions, log = Versions(1, "m", "c"), decision_log(place(home))
    for action, outcome in (("roll_in", "warn"), ("roll_in", "pass"), ("check", "warn")):
        kept = Decision(leg, outcome, 7, versions, 1.0, lambda: (why, ()))
        log.append([kept], About(datetime(2021, 3, 30, 22, tzinfo=UTC), date.fromisoformat(DAY), action, by="close"))
    log.close()
    ended = daybook("close", "--home", home, "--session", DAY, "--json").document
    assert ended["rolled_beyond_limits"] == [
        {"session": DAY, "order_id": "the leg", "quantity_contracts": 7, "reasons": [why[0].message]}
    ]


def test_decisions_come_back_with_a_backup(risk: Run, home: Path, tmp_path: Path, daybook: Run) -> None:
    kept = risk("decisions", "--json").document["rows"]
    assert daybook("backup", "--home", home).code == 0
    assert daybook("restore", "latest", "--home", home, "--into", tmp_path / "back").code == 0
    assert daybook("risk", "decisions", "--home", tmp_path / "back", "--json").document["rows"] == kept
    assert kept


def test_replay_says_which_decisions_other_limits_turn(risk: Run, home: Path, tmp_path: Path) -> None:
    asked(risk, 1)
    asked(risk, 501)
    changed = tmp_path / "changed.toml"
    text = (home / "desk.toml").read_text()
    more = '[symbols.defaults]\nmax_position_contracts = 600\n[[risk.limits]]\nrule = "restricted"\n'
    changed.write_text(f'{text}\n{more}instrument = "BUND"\nrefuse = 0.0\n')
    found = risk("replay", "--since", DAY, "--limits", changed, "--json").document
    assert (found["decisions"], found["judged"]) == (4, 4)
    turned = {(row["instrument"], row["quantity_contracts"]): (row["was"], row["becomes"]) for row in found["rows"]}
    bund = next(key for key in turned if key[0] == "BUND")
    assert turned == {("CORN", 501): ("refuse", "pass"), bund: ("pass", "refuse")}
    because = {row["instrument"]: row["because"] for row in found["rows"]}
    assert because["BUND"] == ["restricted of trend/BUND: 1, pass under no limit, refuse under refuse 0"]
    assert "refuse under refuse 500, pass under refuse 600" in because["CORN"][0]
    shown = " ".join(risk("replay", "--since", DAY, "--limits", changed).out.split())
    assert "2 of 4 decisions turn. Each is judged by itself" in shown


@pytest.mark.parametrize(("text", "said"), [
    (None, "there is no file"), ("[risk", "changed.toml"),
    ("[[risk.limits]]\nrule = 'margn'\nrefuse = 1.0\n", ":3: risk.limits entry 1: there is no rule margn"),
    ("[risk]\nmax_gross_exposure_fraction = -1\n", ":3: risk.max_gross_exposure_fraction is -1"),
])  # fmt: skip
def test_a_file_of_limits_that_is_wrong_is_refused(text: str | None, said: str, risk: Run, tmp_path: Path) -> None:
    changed = tmp_path / "changed.toml"
    if text is not None:
        changed.write_text(f"schema = 2\n{text}")
    ended = risk("replay", "--since", DAY, "--limits", changed)
    assert (ended.code, said in ended.err) == (2, True), ended.err


def test_every_answer_is_one_json_document(risk: Run) -> None:
    for words in (("limits",), ("headroom",), ("halts",), ("decisions",), (*ORDER, "--quantity", "nan")):
        assert isinstance(json.loads(risk(*words, "--json").out), dict)
