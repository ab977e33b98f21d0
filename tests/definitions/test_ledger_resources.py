"""The ledger that Dagster shows and vends is the one the settings choose, and shows no password."""

from pathlib import Path

import dagster as dg
import pytest

from pipelines.deployments import LedgerResource, ledger, resources
from pipelines.settings import place
from resources.lost_ledger import LosableLedger
from resources.mongo_ledger import MongoLedger
from resources.postgres_ledger import PostgresLedger
from resources.sqlite_ledger import SqliteLedger
from resources.vended import MongoLedgerResource, PostgresLedgerResource, SqliteLedgerResource
from trading.errors import ConfigError

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of servers that nobody asks anything of."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("MONGODB_URI", f"mongodb://me:{SECRET}@127.0.0.1:1/daybook")
    monkeypatch.setenv("POSTGRES_URI", f"postgresql://me:{SECRET}@127.0.0.1:1/daybook")


def shown(home: Path, deployment: str, store: str | None) -> object:
    """The ledger among a desk's resources."""
    home.mkdir(exist_ok=True)
    if store is not None:
        (home / "desk.toml").write_text(f'[ledger]\nstore = "{store}"\ntimeout_seconds = 3.5\n')
    return resources(place(home, deployment))["ledger"]


def vended(resource: object) -> object:
    """What Dagster hands to an asset that asks for it: of one on a server, what is behind the run's own."""

    @dg.op(required_resource_keys={"ledger"})
    def look(context: dg.OpExecutionContext) -> str:
        given = context.resources.ledger
        return type(given.of if isinstance(given, LosableLedger) else given).__name__

    @dg.job(resource_defs={"ledger": resource})  # type: ignore[dict-item]
    def looking() -> None:
        look()

    return looking.execute_in_process().output_for_node("look")


@pytest.mark.parametrize(
    ("deployment", "store", "kind", "adapter"),
    [
        ("local", None, SqliteLedgerResource, SqliteLedger),
        ("services", None, MongoLedgerResource, MongoLedger),
        ("services", "postgresql", PostgresLedgerResource, PostgresLedger),
        ("local", "postgresql", PostgresLedgerResource, PostgresLedger),
        ("services", "sqlite", SqliteLedgerResource, SqliteLedger),
    ],
)
def test_the_settings_choose_a_typed_resource(
    deployment: str, store: str | None, kind: type, adapter: type, tmp_path: Path
) -> None:
    found = shown(tmp_path, deployment, store)
    assert type(found) is kind
    assert SECRET not in repr(found)
    assert vended(found) == adapter.__name__
    if store == "postgresql":
        assert getattr(found, "timeout_seconds", None) == 3.5


def test_a_ledger_that_cannot_be_told_is_no_reason_not_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONGODB_URI")
    found = shown(tmp_path, "services", None)
    assert isinstance(found, LedgerResource)
    with pytest.raises(ConfigError, match="MONGODB_URI is not set"):
        found.adapter()
    wrong = shown(tmp_path, "services", "oracle")
    assert isinstance(wrong, LedgerResource)
    with pytest.raises(ConfigError, match="oracle"):
        wrong.adapter()


@pytest.mark.parametrize("store", ["mongodb", "postgresql"])
def test_a_typed_resource_names_where_its_address_is_found(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_LEDGER", "no address of anything")
    (tmp_path / "desk.toml").write_text(
        f'schema = 2\n[data.storage.ledger]\nstore = "{store}"\naddress = {{ env = "MY_LEDGER" }}\n'
    )
    found = resources(place(tmp_path))["ledger"]
    assert getattr(found, "address", None) == "the environment variable MY_LEDGER (data.storage.ledger.address)"
    with pytest.raises(ConfigError, match="the environment variable MY_LEDGER"):
        ledger(place(tmp_path)).health()
