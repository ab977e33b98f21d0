"""MongoLedger on three real members: the primary is killed while writers write. The trial is that of the benchmark
(`benchmarks/recovery.py`, which kills ten times), with less patience between members."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from pipelines import mongod
from resources.mongo_ledger import MongoLedger
from trading.errors import StoreUnavailable


@pytest.fixture(scope="module")
def recovery(root: Path) -> ModuleType:
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("recovery_benchmark", root / "benchmarks" / "recovery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_killed_primaries_lose_and_double_nothing(recovery: ModuleType, mongod_program: str, tmp_path: Path) -> None:
    seconds, fills, wrong = recovery.trial(mongod_program, tmp_path, kills=2, count=3, election_ms=2_000)
    assert wrong == []
    assert fills > 100
    assert len(seconds) == 2
    assert max(seconds) < 60


def test_the_trial_finds_what_is_lost_and_what_differs(recovery: ModuleType, mongo_database: str) -> None:
    """A writer that claims a batch more than it recorded, and a position that somebody changed."""
    from pymongo import MongoClient

    writer = recovery.Writer(mongo_database, "book0", threading.Event())
    ledger = MongoLedger(mongo_database)
    ledger.record([recovery.fill("book0", number) for number in range(recovery.BATCH)])
    writer.acknowledged = [0.0]
    assert recovery.wrong(mongo_database, [writer]) == []
    writer.acknowledged = [0.0, 1.0]
    with MongoClient(mongo_database) as client:
        client.get_default_database()["positions"].update_one({}, {"$inc": {"quantity_contracts": 1}})
    said = recovery.wrong(mongo_database, [writer])
    assert sum("was acknowledged and is lost" in text for text in said) == recovery.BATCH
    assert "book0 holds 11 contracts of 10 fills of one" in said
    ledger.close()


def test_without_a_majority_nothing_is_acknowledged_and_with_it_again_all_is_there_once(
    recovery: ModuleType, mongod_program: str, tmp_path: Path
) -> None:
    with mongod.ReplicaSet(mongod_program, tmp_path, 3, 2_000) as servers:
        ledger = MongoLedger(servers.uri, timeout_s=4.0, recovery_s=6.0)
        first, second = ([recovery.fill("book0", number) for number in part] for part in (range(5), range(5, 10)))
        ledger.record(first)
        primary = mongod.primary(servers.ports, 10)
        others = [port for port in servers.ports if port != primary]
        for port in others:
            servers.kill(port)
        with pytest.raises(StoreUnavailable, match="run the same command again"):
            ledger.record(second)
        for port in others:
            servers.start(port)
        assert mongod.settled(servers.ports, 60)
        patient = MongoLedger(servers.uri)
        patient.record(second)
        assert patient.sequence() == 10
        assert [row["quantity_contracts"] for row in patient.rows("positions")] == [10]
        ledger.close()
        patient.close()
