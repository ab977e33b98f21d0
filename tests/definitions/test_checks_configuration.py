"""The check of drift: what it reads out of the journal and the signed document, what Dagster shows, and which close it
gives its exit code.

Belongs here: in-memory ports. The rules of drift are tested in `tests/domain/test_config_drift.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from assets.configuration import signed_with, standing, versions
from assets.partitions import SESSIONS
from checks.configuration import result
from pipelines.definitions import defs
from resources.memory import MemoryBlobs, MemoryConfigurations, MemoryLedger
from trading.book.journal import Event
from trading.book.signature import Circumstances, Document, Substance
from trading.config.drift import drift
from trading.config.models import DeskSettings
from trading.config.versions import VersionRecord, applied_event

THURSDAY, FRIDAY = date(2024, 3, 7), date(2024, 3, 8)
APPLIED = datetime(2024, 3, 7, 9, tzinfo=UTC)
SIGNED = datetime(2024, 3, 8, 23, tzinfo=UTC)


def settings(environment: str = "paper", loss: float = 0.05) -> DeskSettings:
    """A desk's settings."""
    return DeskSettings.model_validate({"environment": environment, "risk": {"max_daily_loss_fraction": loss}})


ONE, TWO = settings(), settings(loss=0.04)


class Desk(MemoryConfigurations):
    """What configures a desk, applied once unless said otherwise."""

    def __init__(
        self,
        on_disk: DeskSettings | str,
        now: DeskSettings | str | None,
        number: int | None = 1,
        since: datetime | None = APPLIED,
    ) -> None:
        super().__init__(on_disk, now, number, since)


def book(*applied: DeskSettings) -> MemoryLedger:
    """A journal in which these were applied, a day apart."""
    ledger, parent = MemoryLedger(), None
    for number, one in enumerate(applied, 1):
        at = APPLIED + timedelta(days=number - 1)
        digest = one.content_hash()
        version = VersionRecord(number, digest, parent, "0" * 64, "anna", "because", one.environment, at)
        ledger.record([applied_event(version, "test")])
        parent = digest
    return ledger


def sign(
    ledger: MemoryLedger, blobs: MemoryBlobs, used: DeskSettings, session: date = FRIDAY, number: int | None = None
) -> None:
    """A signed session that used these settings."""
    around = Circumstances({}, {}, {}, SIGNED.isoformat(), "close", "run", "key", "", (), number)
    document = Document(1, Substance(session, {}, {}, used.content_hash(), "r", "c"), around)
    digest = blobs.put(document.content())
    payload: dict[str, str | int] = {
        "session": session.isoformat(), "version": 1, "hash": document.substance.one_hash(), "document": digest,
        "key": "key", "signature": "", "previous": "",
    }  # fmt: skip
    ledger.record([Event(f"close_signed:{session}:1", "close_signed", session, SIGNED, "close", payload)])


def checked(desk: Desk, ledger: MemoryLedger, blobs: MemoryBlobs) -> dg.AssetCheckResult:
    """The check's result."""
    where = standing(desk, ledger, blobs)
    return result(drift(where), where)


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


# --- reading ----------------------------------------------------------------------------------------------------------
def test_the_history_is_read_from_the_journal() -> None:
    found = versions(book(ONE, TWO))
    assert [(one.number, one.configuration) for one in found] == [(1, ONE.content_hash()), (2, TWO.content_hash())]


def test_the_newest_signed_session_counts_and_the_number_it_names(blobs: MemoryBlobs) -> None:
    ledger = book(ONE, TWO, ONE)
    assert signed_with(ledger, blobs, versions(ledger)) is None
    sign(ledger, blobs, TWO, FRIDAY)
    sign(ledger, blobs, ONE, THURSDAY, number=1)
    found = signed_with(ledger, blobs, versions(ledger))
    assert found is not None
    assert (found.session, found.configuration, found.number, found.at) == (FRIDAY, TWO.content_hash(), 2, SIGNED)


def test_a_session_keeps_the_number_it_was_signed_with_though_the_configuration_came_back(blobs: MemoryBlobs) -> None:
    ledger = book(ONE, TWO, ONE)
    sign(ledger, blobs, ONE, number=1)
    found = signed_with(ledger, blobs, versions(ledger))
    assert found is not None
    assert found.number == 1


@pytest.mark.parametrize(
    ("desk", "environment"),
    [
        (Desk(ONE, TWO), "paper"),
        (Desk("wrong", ONE), "paper"),
        (Desk(ONE, "damaged"), "paper"),
        (Desk("wrong", "wrong"), "development"),  # the files are what is in force, and they are wrong
        (Desk("wrong", "damaged"), "production"),  # nobody knows, so the strictest
    ],
)
def test_the_environment_is_that_of_what_can_be_read(desk: Desk, environment: str, blobs: MemoryBlobs) -> None:
    assert standing(desk, MemoryLedger(), blobs).environment == environment


# --- what Dagster shows -----------------------------------------------------------------------------------------------
def test_one_configuration_everywhere_passes(blobs: MemoryBlobs) -> None:
    ledger = book(ONE)
    sign(ledger, blobs, ONE, number=1)
    found = checked(Desk(ONE, ONE), ledger, blobs)
    assert found.passed
    assert found.description == f"one configuration: 1 ({ONE.content_hash()[:12]})"
    assert found.metadata["signed with"].value == f"{ONE.content_hash()} on 2024-03-08"


@pytest.mark.parametrize(
    ("environment", "passed", "severity"),
    [("development", True, "WARN"), ("paper", False, "WARN"), ("production", False, "ERROR")],
)
def test_files_that_were_not_applied(environment: str, passed: bool, severity: str, blobs: MemoryBlobs) -> None:
    one, two = (settings("development", loss) for loss in (0.05, 0.04))
    if environment != "development":
        one, two = (real(environment, loss) for loss in (0.05, 0.04))
    found = checked(Desk(two, one), book(one), blobs)
    assert (found.passed, found.severity.value) == (passed, severity)
    assert "risk.max_daily_loss_fraction: 0.05 -> 0.04" in str(found.description)


def real(environment: str, loss: float) -> DeskSettings:
    """Settings that production accepts too: real prices, a broker's account, somebody who looks after breaks."""
    return DeskSettings.model_validate(
        {
            "environment": environment,
            "data": {"vendor": {"name": "pysystemtrade", "source": "futures"}},
            "trading": {
                "broker": {"name": "statement_file", "account": "U1"}, "reconciliation": {"owner": "anna"},
            },
            "risk": {"max_daily_loss_fraction": loss},
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("desk", "applied", "used", "said"),
    [
        (Desk("risk.x is 7.", ONE), (ONE,), None, ["the files are wrong: risk.x is 7.", "Runs go on with 1 ("]),
        (Desk(ONE, "its document is gone."), (ONE,), None, ["cannot be read: its document is gone.", "rollback"]),
        (Desk(ONE, None), (), None, ["nothing was ever applied in paper"]),
        (Desk(ONE, ONE), (ONE, TWO), None, ["the journal's newest configuration is 2 (", "1 ("]),
        (Desk(ONE, ONE), (ONE,), TWO, ["2024-03-08 was signed with", "in no history"]),
        (Desk(TWO, TWO, 2, APPLIED + timedelta(days=1)), (ONE, TWO), ONE, ["while 2 (", "--session 2024-03-08"]),
    ],
)  # fmt: skip
def test_every_kind_of_drift_is_told(
    desk: Desk, applied: Sequence[DeskSettings], used: DeskSettings | None, said: list[str], blobs: MemoryBlobs
) -> None:
    ledger = book(*applied)
    if used is not None:
        sign(ledger, blobs, used)
    found = checked(desk, ledger, blobs)
    assert not found.passed
    assert all(word in str(found.description) for word in said), found.description


def test_what_is_applied_after_the_close_passes_and_is_told(blobs: MemoryBlobs) -> None:
    ledger = book(ONE, TWO)
    sign(ledger, blobs, ONE, number=1)
    found = checked(Desk(TWO, TWO, 2, SIGNED + timedelta(hours=9)), ledger, blobs)
    assert found.passed
    assert "which the next close uses" in str(found.description)


def test_a_signed_document_that_is_damaged_fails_the_check_and_not_the_run(blobs: MemoryBlobs) -> None:
    ledger = book(ONE)
    sign(ledger, blobs, ONE, number=1)
    blobs.damage(str(ledger.rows("signatures")[0]["document"]))
    found = checked(Desk(ONE, ONE), ledger, blobs)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "cannot be read" in str(found.description)


# --- in the graph -----------------------------------------------------------------------------------------------------
def test_the_close_runs_it_after_the_signature_and_is_not_stopped_by_it() -> None:
    key = dg.AssetCheckKey(dg.AssetKey("signature"), "configuration_drift")
    spec = defs.resolve_asset_graph().get_check_spec(key)
    assert not spec.blocking
    assert spec.partitions_def == SESSIONS
    for name in ("close", "backfill"):
        assert "configuration_drift" in {node.name for node in defs.resolve_job_def(name).nodes}
