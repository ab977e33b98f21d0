"""What of a configuration drifted, how grave that is in each environment, and what the sentence tells to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from trading.config.drift import Named, SignedWith, Standing, drift, drifted

APPLIED = datetime(2024, 3, 7, 9, tzinfo=UTC)
SIGNED = datetime(2024, 3, 8, 23, tzinfo=UTC)
ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64
LAST = SignedWith(date(2024, 3, 8), ONE, 4, SIGNED)
FOUR = Named(ONE, 4, APPLIED)
WELL = Standing("production", ONE, FOUR, signed=LAST, recorded=FOUR, recorded_since=APPLIED)
ENVIRONMENTS = ("development", "paper", "production")

CASES = {
    "in force cannot be read": (
        replace(WELL, in_force=None, damaged="its snapshot is gone."),
        "damaged", ("error", "error", "error"), ("its snapshot is gone.", "daybook config rollback"),
    ),
    "nothing applied": (
        replace(WELL, in_force=None, signed=None),
        "nothing applied", (None, "error", "error"), ("nothing was ever applied", "daybook config apply --reason"),
    ),
    "the journal is ahead": (
        replace(WELL, recorded=Named(TWO, 5, SIGNED)),
        "behind", (None, "error", "error"), ("newest configuration is 5 (2222", "4 (1111", "daybook config status"),
    ),
    "the journal is behind": (
        replace(WELL, recorded=Named(TWO, 3, SIGNED)),
        "behind", (None, "error", "error"), ("newest configuration is 3 (2222", "4 (1111", "Restore both"),
    ),
    "journal and home cannot be brought together": (
        replace(WELL, unhealed="the ledger is lost.", in_force=None, damaged="the pointer is gone."),
        "ledger", ("error", "error", "error"), ("the ledger is lost.",),
    ),
    "files wrong": (
        replace(WELL, files=None, wrong="desk.toml, line 3: risk is 5."),
        "files wrong", ("error", "warning", "error"), ("desk.toml, line 3: risk is 5.", "daybook config validate"),
    ),
    "files differ": (
        replace(WELL, files=TWO, changed=("risk.max_daily_loss_fraction 0.05, now 0.1",)),
        "files differ", ("told", "warning", "error"), ("than configuration 4 (111111111111)", "0.05, now 0.1"),
    ),
    "changed since": (
        replace(WELL, files=TWO, in_force=Named(TWO, 5, SIGNED + timedelta(hours=9)), recorded=Named(TWO, 5)),
        "changed since", ("told", "told", "told"), ("2024-03-08", "configuration 4", "5 (222222222222)", "next close"),
    ),
    "signed with what was not in force": (
        replace(WELL, files=TWO, in_force=Named(TWO, 5, SIGNED - timedelta(hours=2)), recorded=Named(TWO, 5)),
        "signed with another", ("warning", "error", "error"), ("close --restate --session 2024-03-08",),
    ),
    "what was signed cannot be read": (
        replace(WELL, signed=None, unsigned="blob 12 is damaged."),
        "signed document", ("error", "error", "error"), ("blob 12 is damaged.", "daybook audit verify"),
    ),
    "signed with what nobody recorded": (
        replace(WELL, signed=LAST._replace(configuration=THREE, number=None)),
        "signed with unknown", ("warning", "error", "error"), ("333333333333", "in no history", "daybook open"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_found_and_how_grave_it_is(case: str) -> None:
    standing, kind, gravities, said = CASES[case]
    for environment, gravity in zip(ENVIRONMENTS, gravities, strict=True):
        found = {each.kind: each for each in drift(replace(standing, environment=environment))}
        assert (found[kind].gravity if kind in found else None) == gravity, environment
    assert set(found) == {kind}, "and nothing else"
    assert all(word in found[kind].message for word in said), found[kind].message


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_one_configuration_everywhere_is_no_drift(environment: str) -> None:
    assert drift(replace(WELL, environment=environment)) == []
    assert drift(replace(WELL, environment=environment, signed=None)) == []


def test_a_session_signed_before_configurations_were_recorded_accuses_nobody() -> None:
    old = LAST._replace(configuration=THREE, number=None, at=APPLIED - timedelta(days=1))
    (found,) = drift(replace(WELL, signed=old))
    assert (found.kind, found.gravity) == ("changed since", "told")
    assert not drifted([found])


def test_of_many_changes_three_are_named() -> None:
    standing = replace(WELL, files=TWO, changed=("a 1, now 2", "b 1, now 2", "c 1, now 2", "d 1, now 2", "e 1, now 2"))
    (found,) = drift(standing)
    assert "(a 1, now 2; b 1, now 2; c 1, now 2; and 2 more)" in found.message
    assert drifted([found])


def test_the_gravest_comes_first() -> None:
    standing = replace(WELL, environment="paper", files=TWO, signed=LAST._replace(configuration=THREE, number=None))
    assert [each.gravity for each in drift(standing)] == ["error", "warning"]
