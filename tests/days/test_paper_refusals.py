"""The table of attempts to send a live order without a signature that holds: each by a road that is open to everybody,
all refused by name, and nothing sent.

The gateway is scripted and logged in to a live account. Does not belong here: forging the capability itself
(`tests/domain/test_live_permits.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from dataclasses import replace as changed
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))

from scripted_gateway import ScriptedContract, ScriptedGateway

from pipelines import brokers, configuration, live
from pipelines.brokers import broker_of
from pipelines.deployments import BrokerResource
from pipelines.in_force import CONFIGURATION_TAG, documents, tags_of
from pipelines.settings import place, read_settings
from pipelines.wiring import compiled_files, ledger, utc_now
from resources.brokers.ib_account import InteractiveBrokersAccount
from resources.brokers.ib_futures import ListedFuture
from resources.brokers.ib_orders import SentOrders
from resources.brokers.interactive_brokers import InteractiveBrokers
from resources.brokers.order_files import HandedOrders, OrderFiles
from resources.csv_reference import CsvReference
from resources.key_ring import public_pem
from resources.memory import MemoryFrames
from trading.book.orders import Order
from trading.config.live import LiveCapability, PaperPermit, Standing, Terms, key_id, sign, verified
from trading.config.versions import VersionRecord, applied_event
from trading.errors import (
    BrokerError,
    ConfigError,
    DaybookError,
    LiveExpired,
    LiveForged,
    LiveKeyChanged,
    LiveKeyUntrusted,
    LiveNotYet,
    LiveOlderVersion,
    LiveOrderFromPaper,
    LiveOtherAccount,
    LiveOtherBroker,
    LiveOtherConfiguration,
    LiveOtherEnvironment,
    LiveOtherHome,
    LivePermitMissing,
    LiveRefused,
    LiveSignatureWrong,
    LiveUnreadable,
    LiveUnsigned,
    NotTakenHere,
    PaperOnly,
)
from trading.market.instruments import Instrument
from trading.ports import Broker

ROOT = Path(__file__).resolve().parents[2]
LIVE, OTHER, PAPER = "U0000017", "U0000018", "DU0000017"
IB, FILES = "interactive_brokers", "statement_file"
DESK = """schema = 2
environment = "{environment}"
[data.vendor]
name = "csv_folder"
source = "prices"
[trading.reconciliation]
owner = "ada"
[trading.broker]
name = "{broker}"
account = "{account}"
port = {port}
history_days = 7
"""
MORE = "[risk]\nmax_gross_exposure_fraction = 3.0\n"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
GOLD = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "any", "US")
FUTURES = {"GOLD": ListedFuture("GOLD", "GC", "COMEX", "USD", 100.0)}


@dataclass
class Attempt:
    """A desk and a gateway that is logged in to a live account, and ways to use them."""

    home: Path
    gateway: ScriptedGateway
    patch: pytest.MonkeyPatch
    told: dict[str, Any] = field(default_factory=dict)

    # --- the desk ---
    def apply(self, environment: str = "paper", broker: str = IB, account: str = LIVE, **more: Any) -> None:
        """Puts settings in force."""
        self.edit(environment, broker, account, **more)
        configuration.apply(place(self.home), "the attempt says so")

    def edit(
        self, environment: str, broker: str = IB, account: str = LIVE, port: int | None = None, more: str = ""
    ) -> None:
        """Writes settings, and does not apply them."""
        given = {"environment": environment, "broker": broker, "account": account, "port": port or self.gateway.port}
        (self.home / "desk.toml").write_text(DESK.format(**given) + more)

    def send(self) -> None:
        """The desk's own broker is given an order, as the close does it: first asked, then told."""
        broker = self.broker()
        broker.ready([self.order()])
        broker.place([self.order()])

    def broker(self, configuration: str | None = None) -> Broker:
        """The broker that settings in force make; or those that a run carries."""
        where = changed(place(self.home), configuration=configuration)
        return broker_of(where, read_settings(where), MemoryFrames(), CsvReference([ROOT / "reference"]))

    def order(self, session: date | None = None) -> Order:
        """Two contracts of gold, decided in the gateway's session."""
        day = session or self.gateway.now.date()
        return Order(f"{day}:trend:GOLD:20300600:target", "trend", "GOLD", 20300600, day, 2, "target", 1800.0)

    # --- adapters, made by hand ---
    def gateway_with(self, permit: Any, **more: Any) -> InteractiveBrokers:
        """The adapter of Interactive Brokers, by its constructor."""
        return InteractiveBrokers(permit=permit, clock=utc_now, proof=self.prove, **self.given(), **more)

    def prove(self, permit: LiveCapability, now: datetime) -> None:
        """The desk's own proof, of what is in force when it is asked."""
        where = place(self.home)
        live.proof_of(where, read_settings(where))(permit, now)

    def given(self) -> dict[str, Any]:
        """What it needs besides a permit."""
        found = {"futures": FUTURES, "instruments": lambda _: {"GOLD": GOLD}, "port": self.gateway.port}
        return {**found, "history_days": 7, "timeout_s": 5.0}

    def files_with(self, permit: Any, account: str | None = LIVE) -> OrderFiles:
        """The adapter of order files, by its constructor."""
        books = self.home / "broker.sqlite"
        return OrderFiles(books, self.home, permit=permit, clock=utc_now, account=account, proof=self.prove)

    # --- signatures ---
    def trust(self, public: bytes = PUBLIC, name: str | None = None) -> Path:
        """Puts a public key into the home's ring, as a person does."""
        ring = self.home / "keys" / "live"
        ring.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = ring / f"{name or key_id(public)}.pub"
        file.write_text(public_pem(public))
        file.chmod(0o644)
        return file

    def terms(self, **changes: Any) -> Terms:
        """Terms of what is in force, from an hour ago on for 30 days."""
        where = place(self.home)
        held = live.standing(where, read_settings(where))
        begun = utc_now().replace(microsecond=0) - timedelta(hours=1)
        whole = Terms(
            held.configuration, held.number, held.broker, LIVE, held.home, begun, begun + timedelta(days=30),
            key_id(PUBLIC),
        )  # fmt: skip
        return changed(whole, **changes)

    def signed(self, key: Ed25519PrivateKey = KEY, **changes: Any) -> Path:
        """A signed live configuration in its place, trusted or not; the file."""
        file = self.home / "config" / "live.json"
        file.write_bytes(sign(self.terms(**changes), key.sign).to_bytes())
        return file

    def capability(self, key: Ed25519PrivateKey = KEY, **changes: Any) -> LiveCapability:
        """What a signature yields against a ring and a standing that whoever signs makes up."""
        public = key.public_key().public_bytes_raw()
        terms = self.terms(key_id=key_id(public), **changes)
        agrees = Standing(terms.configuration, terms.number, "production", terms.broker, terms.account, terms.home)
        return verified(sign(terms, key.sign), {key_id(public): public}, agrees, terms.signed_at)

    def forged(self, key: Ed25519PrivateKey) -> LiveCapability:
        """A capability put together field by field, that was never verified."""
        public = key.public_key().public_bytes_raw()
        made = object.__new__(LiveCapability)
        object.__setattr__(made, "signed", sign(self.terms(key_id=key_id(public)), key.sign))
        object.__setattr__(made, "public", public)
        return made

    def send_with(self, permit: LiveCapability) -> None:
        """The desk's own adapter, which the composition root makes, is given a permit from elsewhere."""
        where = place(self.home)
        settings, found = read_settings(where), CsvReference([ROOT / "reference"])
        kind = brokers._Gateway if settings.trading.broker.name == IB else brokers._Files
        kind(where, settings, found).sending(permit).place([self.order()])


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attempt]:
    gateway = ScriptedGateway(now=utc_now().replace(microsecond=0))
    gateway.accounts = LIVE
    gateway.contracts = [ScriptedContract(11, "GC", "203006", "20300626", "COMEX", "USD", "100")]
    (tmp_path / "home").mkdir()
    with gateway:
        yield Attempt(tmp_path / "home", gateway, monkeypatch)


# --- attempts: each is a road, and the refusal it must end in ---------------------------------------------------------
def on_paper(attempt: Attempt) -> None:
    """The desk is on paper, at a gateway whose account is live."""
    attempt.apply()
    attempt.send()


def in_development(attempt: Attempt) -> None:
    attempt.apply("development")
    attempt.send()


def files_say_production(attempt: Attempt) -> None:
    """desk.toml is edited, and nobody applies it."""
    attempt.apply()
    attempt.edit("production")
    attempt.send()


def files_alone_say_production(attempt: Attempt) -> None:
    attempt.edit("production")
    attempt.send()


def the_variable_says_production(attempt: Attempt) -> None:
    attempt.apply()
    attempt.patch.setenv("DAYBOOK_ENVIRONMENT", "production")
    attempt.send()


def the_variable_says_production_in_development(attempt: Attempt) -> None:
    attempt.edit("development")
    attempt.patch.setenv("DAYBOOK_ENVIRONMENT", "production")
    attempt.send()


def another_port(attempt: Attempt) -> None:
    """The settings are for a paper gateway; its port is then that of the live one."""
    attempt.apply(account=PAPER, port=4002)
    attempt.apply(account=LIVE)
    attempt.send()


def the_account_is_named_as_paper(attempt: Attempt) -> None:
    """The login does not have the paper account that is named."""
    attempt.apply(account=PAPER)
    attempt.send()


def the_login_has_both_accounts(attempt: Attempt) -> None:
    attempt.gateway.accounts = f"{PAPER},{LIVE}"
    attempt.apply(account=LIVE)
    attempt.send()


def an_account_that_looks_like_paper(attempt: Attempt) -> None:
    attempt.gateway.accounts = "DEMO"
    attempt.apply(account="DEMO")
    attempt.send()


def the_pointer_says_production(attempt: Attempt) -> None:
    """config/current is edited."""
    attempt.apply()
    file = attempt.home / "config" / "current"
    file.write_text(file.read_text().replace('"paper"', '"production"'))
    attempt.trust()
    attempt.signed()
    attempt.send()


def the_document_in_force_says_production(attempt: Attempt) -> None:
    """The configuration in force is edited where it is kept."""
    attempt.apply()
    digest = json.loads((attempt.home / "config" / "current").read_text())["configuration"]
    for file in (attempt.home / "config" / "documents").rglob(f"*{digest[4:]}*"):
        file.chmod(0o644)
        file.write_bytes(file.read_bytes().replace(b'"environment":"paper"', b'"environment":"production"'))
        attempt.told["edited"] = True
    assert attempt.told["edited"]
    attempt.send()


def signed_all_the_same(attempt: Attempt) -> None:
    """Everything is signed and trusted, but the desk is on paper."""
    attempt.apply()
    attempt.trust()
    attempt.signed()
    attempt.send()


def the_command_signs_on_paper(attempt: Attempt) -> None:
    attempt.apply()
    live.sign_live(place(attempt.home), LIVE, utc_now().date() + timedelta(days=9), None)


def through_dagster(attempt: Attempt) -> None:
    """The typed resource that runs use."""
    attempt.apply()
    BrokerResource(home=str(attempt.home), deployment="local").adapter().place([attempt.order()])


def withdrawing_at_a_live_account(attempt: Attempt) -> None:
    attempt.apply()
    attempt.broker().cancel([attempt.order().order_id])


def without_a_permit(attempt: Attempt) -> None:
    attempt.gateway_with(None).place([attempt.order()])


def with_a_word_for_a_permit(attempt: Attempt) -> None:
    attempt.gateway_with("live").place([attempt.order()])


def with_what_was_signed_for_a_permit(attempt: Attempt) -> None:
    """The signature itself, not what verifying it yields."""
    attempt.apply("production")
    attempt.gateway_with(sign(attempt.terms(), KEY.sign)).place([attempt.order()])


def a_paper_permit_that_says_production(attempt: Attempt) -> None:
    attempt.gateway_with(PaperPermit("production")).place([attempt.order()])


def a_paper_permit_of_ones_own(attempt: Attempt) -> None:
    made = type("Generous", (PaperPermit,), {})
    attempt.gateway_with(made()).place([attempt.order()])


def a_capability_made_by_hand(attempt: Attempt) -> None:
    attempt.apply("production")
    made: Any = LiveCapability
    attempt.gateway_with(made(sign(attempt.terms(), KEY.sign), PUBLIC)).place([attempt.order()])


def an_empty_capability(attempt: Attempt) -> None:
    attempt.gateway_with(object.__new__(LiveCapability)).place([attempt.order()])


def a_capability_for_another_account(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.gateway_with(attempt.capability(account=OTHER)).place([attempt.order()])


def a_capability_for_another_broker(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.gateway_with(attempt.capability(broker=FILES)).place([attempt.order()])


def a_capability_that_expired_since(attempt: Attempt) -> None:
    attempt.apply("production")
    begun = utc_now().replace(microsecond=0) - timedelta(days=3)
    attempt.gateway_with(attempt.capability(signed_at=begun, expires_at=begun + timedelta(days=2))).place(
        [attempt.order()]
    )


def a_machine_whose_clock_was_put_back(attempt: Attempt) -> None:
    """Our clock says that the signature holds; the gateway's says that it has expired."""
    attempt.apply("production")
    attempt.trust()
    attempt.gateway.now += timedelta(days=60)
    attempt.gateway_with(attempt.capability()).place([attempt.order()])


def a_gateway_whose_clock_was_put_back(attempt: Attempt) -> None:
    """The gateway's clock says that the signature holds; ours says that it has expired."""
    attempt.apply("production")
    begun = utc_now().replace(microsecond=0) - timedelta(days=3)
    permit = attempt.capability(signed_at=begun, expires_at=begun + timedelta(days=2))
    attempt.gateway.now -= timedelta(days=2)
    attempt.gateway_with(permit).place([attempt.order()])


def a_ring_of_ones_own_on_paper(attempt: Attempt) -> None:
    """A key of one's own, a ring that holds it, a standing that says production; then the adapter of the desk."""
    attempt.apply()
    attempt.trust()
    attempt.send_with(attempt.capability(STRANGER))


def a_ring_of_ones_own_in_production(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust()
    attempt.send_with(attempt.capability(STRANGER))


def a_ring_of_ones_own_for_order_files(attempt: Attempt) -> None:
    attempt.apply("production", broker=FILES)
    attempt.trust()
    attempt.send_with(attempt.capability(STRANGER))


def a_standing_of_ones_own_on_paper(attempt: Attempt) -> None:
    """The trusted key signed, and the desk is on paper."""
    attempt.apply()
    attempt.trust()
    attempt.send_with(attempt.capability())


def a_forged_capability(attempt: Attempt) -> None:
    """Put together with a key of one's own."""
    attempt.apply("production")
    attempt.trust()
    attempt.send_with(attempt.forged(STRANGER))


def a_forged_capability_on_paper(attempt: Attempt) -> None:
    attempt.apply()
    attempt.trust()
    attempt.send_with(attempt.forged(KEY))


def a_sender_that_no_desk_made(attempt: Attempt) -> None:
    """By its constructor, with a capability that holds at this very desk."""
    attempt.apply("production")
    attempt.trust()
    permit = attempt.capability()
    InteractiveBrokers(permit=permit, clock=utc_now, **attempt.given()).place([attempt.order()])


def order_files_that_no_desk_made(attempt: Attempt) -> None:
    attempt.apply("production", broker=FILES)
    attempt.trust()
    books, permit = attempt.home / "broker.sqlite", attempt.capability()
    OrderFiles(books, attempt.home, permit=permit, clock=utc_now, account=LIVE).place([attempt.order()])


def a_key_taken_out_of_the_ring_since(attempt: Attempt) -> None:
    """The broker was made while the signature held."""
    attempt.apply("production")
    key = attempt.trust()
    attempt.signed()
    broker = attempt.broker()
    key.unlink()
    broker.place([attempt.order()])


def a_version_applied_since(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust()
    attempt.signed()
    broker = attempt.broker()
    attempt.apply("production", more=MORE)
    broker.place([attempt.order()])


def an_order_that_was_being_sent_to_a_paper_account(attempt: Attempt) -> None:
    """The process died while it was sent; then the desk goes live."""
    attempt.apply("production")
    attempt.trust()
    sent = SentOrders(attempt.home / "broker.sqlite")
    sent.since(attempt.order().session)
    sent.sending(attempt.order(), attempt.order().session, live=False)
    attempt.gateway_with(attempt.capability(), sent=attempt.home / "broker.sqlite").place([attempt.order()])


def an_order_that_was_for_paper(attempt: Attempt) -> None:
    """It was handed over on paper; then the desk goes live."""
    attempt.apply("production", broker=FILES)
    attempt.trust()
    attempt.files_with(PaperPermit()).place([attempt.order()])
    attempt.files_with(attempt.capability()).place([attempt.order()])


def order_files_without_a_permit(attempt: Attempt) -> None:
    attempt.files_with(None).place([attempt.order()])


def order_files_for_another_account(attempt: Attempt) -> None:
    attempt.apply("production", broker=FILES)
    attempt.files_with(attempt.capability(account=OTHER)).place([attempt.order()])


# --- in production, without a signature that holds ---
def nobody_signed(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.send()


def nobody_signed_and_orders_are_files(attempt: Attempt) -> None:
    attempt.apply("production", broker=FILES)
    attempt.send()


def a_key_that_nobody_trusts(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.signed()
    attempt.send()


def a_key_of_ones_own(attempt: Attempt) -> None:
    """A stranger signs, and says that the trusted key did."""
    attempt.apply("production")
    attempt.trust()
    attempt.signed(STRANGER)
    attempt.send()


def a_key_of_ones_own_under_the_trusted_name(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust(STRANGER.public_key().public_bytes_raw(), name=key_id(PUBLIC))
    attempt.signed(STRANGER)
    attempt.send()


def a_ring_that_everybody_may_write(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust().parent.chmod(0o777)
    attempt.signed()
    attempt.send()


def the_signature_expired(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust()
    begun = utc_now().replace(microsecond=0) - timedelta(days=3)
    attempt.signed(signed_at=begun, expires_at=begun + timedelta(days=2))
    attempt.send()


def the_signature_begins_tomorrow(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust()
    attempt.signed(signed_at=utc_now().replace(microsecond=0) + timedelta(days=1))
    attempt.send()


def live_json_is_edited(attempt: Attempt) -> None:
    attempt.gateway.accounts = f"{LIVE},{OTHER}"
    attempt.apply("production", account=OTHER)
    attempt.trust()
    file = attempt.signed()
    file.write_text(file.read_text().replace(LIVE, OTHER))
    attempt.send()


def live_json_is_cut(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust()
    file = attempt.signed()
    file.write_bytes(file.read_bytes()[:-9])
    attempt.send()


def another_account_is_applied_after_signing(attempt: Attempt) -> None:
    attempt.gateway.accounts = f"{LIVE},{OTHER}"
    attempt.apply("production", account=OTHER)
    attempt.trust()
    attempt.signed(account=LIVE)
    attempt.send()


def a_setting_is_applied_after_signing(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust()
    attempt.signed()
    attempt.apply("production", more=MORE)
    attempt.send()


def the_signed_version_is_taken_back(attempt: Attempt) -> None:
    """Rolled back to the very settings that were signed: a new version all the same."""
    attempt.apply("production")
    attempt.trust()
    attempt.signed()
    attempt.apply("production", more=MORE)
    configuration.rollback(place(attempt.home), 1, "as it was")
    attempt.send()


def the_old_pointer_is_put_back(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust()
    attempt.signed()
    old = (attempt.home / "config" / "current").read_bytes()
    attempt.apply("production", more=MORE)
    (attempt.home / "config" / "current").write_bytes(old)
    attempt.send()


def the_signature_of_another_desk(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust()
    attempt.signed(home="/srv/desk")
    attempt.send()


def a_signature_for_paper(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust()
    attempt.signed(environment="paper")
    attempt.send()


ATTEMPTS: dict[Callable[[Attempt], None], type[DaybookError]] = {
    on_paper: PaperOnly,
    in_development: PaperOnly,
    files_say_production: PaperOnly,
    files_alone_say_production: ConfigError,
    the_variable_says_production: NotTakenHere,
    the_variable_says_production_in_development: ConfigError,
    another_port: PaperOnly,
    the_account_is_named_as_paper: BrokerError,
    the_login_has_both_accounts: PaperOnly,
    an_account_that_looks_like_paper: PaperOnly,
    the_pointer_says_production: PaperOnly,
    the_document_in_force_says_production: ConfigError,
    signed_all_the_same: PaperOnly,
    the_command_signs_on_paper: LiveOtherEnvironment,
    through_dagster: PaperOnly,
    withdrawing_at_a_live_account: PaperOnly,
    without_a_permit: LivePermitMissing,
    with_a_word_for_a_permit: LivePermitMissing,
    with_what_was_signed_for_a_permit: LivePermitMissing,
    a_paper_permit_that_says_production: PaperOnly,
    a_paper_permit_of_ones_own: LiveForged,
    a_capability_made_by_hand: LiveForged,
    an_empty_capability: LiveForged,
    a_capability_for_another_account: LiveOtherAccount,
    a_capability_for_another_broker: LiveOtherBroker,
    a_capability_that_expired_since: LiveExpired,
    a_machine_whose_clock_was_put_back: LiveExpired,
    a_gateway_whose_clock_was_put_back: LiveExpired,
    a_ring_of_ones_own_on_paper: LiveKeyUntrusted,
    a_ring_of_ones_own_in_production: LiveKeyUntrusted,
    a_ring_of_ones_own_for_order_files: LiveKeyUntrusted,
    a_standing_of_ones_own_on_paper: LiveOtherEnvironment,
    a_forged_capability: LiveKeyUntrusted,
    a_forged_capability_on_paper: LiveOtherEnvironment,
    a_sender_that_no_desk_made: LivePermitMissing,
    order_files_that_no_desk_made: LivePermitMissing,
    a_key_taken_out_of_the_ring_since: LiveKeyUntrusted,
    a_version_applied_since: LiveOtherConfiguration,
    an_order_that_was_being_sent_to_a_paper_account: LiveOrderFromPaper,
    an_order_that_was_for_paper: LiveOrderFromPaper,
    order_files_without_a_permit: LivePermitMissing,
    order_files_for_another_account: LiveOtherAccount,
    nobody_signed: LiveUnsigned,
    nobody_signed_and_orders_are_files: LiveUnsigned,
    a_key_that_nobody_trusts: LiveKeyUntrusted,
    a_key_of_ones_own: LiveSignatureWrong,
    a_key_of_ones_own_under_the_trusted_name: LiveKeyChanged,
    a_ring_that_everybody_may_write: LiveKeyUntrusted,
    the_signature_expired: LiveExpired,
    the_signature_begins_tomorrow: LiveNotYet,
    live_json_is_edited: LiveSignatureWrong,
    live_json_is_cut: LiveUnreadable,
    another_account_is_applied_after_signing: LiveOtherAccount,
    a_setting_is_applied_after_signing: LiveOlderVersion,
    the_signed_version_is_taken_back: LiveOlderVersion,
    the_old_pointer_is_put_back: LiveOtherConfiguration,
    the_signature_of_another_desk: LiveOtherHome,
    a_signature_for_paper: LiveOtherEnvironment,
}


@pytest.mark.parametrize("road", ATTEMPTS, ids=lambda road: road.__name__)
def test_no_live_order_is_sent(attempt: Attempt, road: Callable[[Attempt], None]) -> None:
    with pytest.raises(ATTEMPTS[road]) as caught:
        road(attempt)
    assert type(caught.value) is ATTEMPTS[road], "refused by name"
    assert str(caught.value).endswith(".")
    assert attempt.gateway.placed() == []
    assert not list(attempt.home.rglob("orders/*")), "no file that anybody executes"


def test_the_table_is_in_the_page_for_people() -> None:
    page = (ROOT / "docs" / "how-to" / "paper-and-live.md").read_text("utf-8")
    rows = [f"| {road.__name__.replace('_', ' ')} | `{refused.__name__}` |" for road, refused in ATTEMPTS.items()]
    assert len(rows) >= 15
    assert page.endswith("\n".join(["| attempt | refused as |", "|---|---|", *rows]) + "\n")


def test_every_refusal_is_explained() -> None:
    page = (ROOT / "docs" / "how-to" / "paper-and-live.md").read_text("utf-8")
    explained = page.partition("## When a close is refused")[2].partition("\n## ")[0]
    names = [kind.__name__ for kind in LiveRefused.__subclasses__()]
    assert len(names) > 15
    assert not [name for name in names if f"`{name}`" not in explained]


# --- what is said to who goes by files -------------------------------------------------------------------------------
@pytest.mark.parametrize("environment", ["development", "paper"])
def test_orders_on_paper_say_so_in_the_name_of_folder_and_file(attempt: Attempt, environment: str) -> None:
    attempt.apply(environment, broker=FILES)
    attempt.send()
    written = [path.relative_to(attempt.home).as_posix() for path in attempt.home.rglob("*orders/*")]
    assert written == [f"paper-orders/PAPER-{attempt.order().session}.csv"]


# --- the one way, so that the table can fail -------------------------------------------------------------------------
def test_with_a_signature_that_holds_the_order_is_sent(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust()
    attempt.signed()
    attempt.send()
    assert [(order.account, order.quantity) for order in attempt.gateway.orders] == [(LIVE, 2.0)]


def written_before_a_setting_was_known(attempt: Attempt) -> str:
    """Puts in force what an older Daybook wrote, which did not know a setting; the hash of its document."""
    where = place(attempt.home)
    before = compiled_files(where).pointer()
    assert before is not None
    values = json.loads(documents(where).get(before.configuration))
    del values["trading"]["broker"]["timeout_seconds"]
    digest = documents(where).put(json.dumps(values, sort_keys=True, separators=(",", ":")).encode())
    version = VersionRecord(
        before.number + 1, digest, before.configuration, before.snapshot, "ada", "as it was", "production", utc_now()
    )
    ledger(where).record([applied_event(version, "the test")])
    compiled_files(where).point(before._replace(number=version.number, configuration=digest))
    return digest


@pytest.mark.parametrize("broker", [IB, FILES])
def test_what_was_signed_holds_for_a_daybook_that_knows_a_setting_more(attempt: Attempt, broker: str) -> None:
    attempt.apply("production", broker=broker)
    attempt.trust()
    digest = written_before_a_setting_was_known(attempt)
    tags = tags_of(read_settings(place(attempt.home)))
    assert tags[CONFIGURATION_TAG] != digest, "today's Daybook fills the setting in"
    attempt.signed(configuration=digest)
    attempt.broker(tags[CONFIGURATION_TAG]).ready([attempt.order()])  # as a schedule's run opens it
    attempt.send()
    assert len(attempt.gateway.orders) + len(list(attempt.home.rglob("orders/*"))) == 1


def test_a_run_that_carries_an_older_configuration_says_so(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.trust()
    older = read_settings(place(attempt.home)).content_hash()
    attempt.apply("production", more=MORE)
    attempt.signed()
    with pytest.raises(LiveOtherConfiguration, match=rf"opens configuration {older[:12]}.*tag daybook/configuration"):
        attempt.broker(older).ready([attempt.order()])
    attempt.broker(read_settings(place(attempt.home)).content_hash()).ready([attempt.order()])
    assert attempt.gateway.orders == []


def test_with_a_signature_that_holds_the_order_is_shown_to_who_executes(attempt: Attempt) -> None:
    attempt.apply("production", broker=FILES)
    attempt.trust()
    attempt.signed()
    attempt.send()
    written = [path.relative_to(attempt.home).as_posix() for path in attempt.home.rglob("*orders/*")]
    assert written == [f"orders/{attempt.order().session}.csv"]


def test_a_paper_account_takes_orders_on_paper(attempt: Attempt) -> None:
    attempt.gateway.accounts = PAPER
    attempt.apply(account=PAPER)
    attempt.send()
    assert [order.account for order in attempt.gateway.orders] == [PAPER]


def test_who_goes_back_to_paper_with_an_order_can_go_live_after_it(attempt: Attempt) -> None:
    """What the refusal says to do, done."""
    attempt.apply("production")
    attempt.trust()
    attempt.signed()
    sent, order = SentOrders(attempt.home / "broker.sqlite"), attempt.order()
    sent.since(order.session)
    sent.sending(order, order.session, live=False)
    with pytest.raises(LiveOrderFromPaper, match="environment = 'paper'"):
        attempt.send()
    attempt.gateway.accounts = PAPER
    attempt.apply("paper", account=PAPER)
    attempt.send()
    attempt.broker().cancel([order.order_id])
    attempt.gateway.accounts = LIVE
    attempt.apply("production")
    attempt.signed()
    attempt.broker().place([changed(order, order_id=f"{order.order_id}:2")])
    assert [(each.account, each.reference) for each in attempt.gateway.orders][-1] == (LIVE, f"{order.order_id}:2")


# --- a broker that is read only ---------------------------------------------------------------------------------------
def test_in_production_without_a_signature_the_broker_can_be_read(attempt: Attempt) -> None:
    attempt.apply("production")
    attempt.gateway.cash = [(LIVE, "CashBalance", "5.0", "USD")]
    broker, session = attempt.broker(), attempt.gateway.now.date()
    assert isinstance(broker, Broker)
    assert broker.fills(session) == []
    assert broker.corrections(session) == []
    assert broker.ended(["never placed"], session) == []
    broker.cancel(["never placed"])
    broker.ready([])
    broker.place([])


def test_what_is_at_work_already_is_no_new_order(attempt: Attempt) -> None:
    """The close hands over again whatever is at work: after a signature expired, that alone must not stop it."""
    attempt.apply("production", broker=FILES)
    attempt.trust()
    file = attempt.signed()
    attempt.send()
    file.unlink()
    attempt.broker().place([attempt.order()])
    with pytest.raises(LiveUnsigned, match=r"not sent to statement_file \(1, another the first\)"):
        attempt.broker().ready([attempt.order(), changed(attempt.order(), order_id="another")])


@pytest.mark.parametrize(
    "permit",
    [None, "live", True, object(), LiveCapability, PaperPermit],
    ids=["none", "word", "true", "object", "live class", "paper class"],
)
def test_no_sender_can_be_made_without_a_permit(attempt: Attempt, permit: object) -> None:
    for make in (attempt.gateway_with, attempt.files_with):
        with pytest.raises(LivePermitMissing):
            make(permit)


def test_a_reader_has_no_way_to_send(attempt: Attempt) -> None:
    reader = InteractiveBrokersAccount(**attempt.given())
    handed = HandedOrders(attempt.home / "broker.sqlite", attempt.home, live=True)
    assert not [name for name in ("place", "ready", "_place") if hasattr(reader, name) or hasattr(handed, name)]


def test_a_refused_decision_leaves_the_journal_as_it_was(attempt: Attempt) -> None:
    """The orders of a session are recorded only where they may be sent."""
    from assets.book import Desk, hand_over
    from trading.book.booking import Entered
    from trading.book.entries import Step

    attempt.apply("production")
    where = place(attempt.home)
    book, order = ledger(where), attempt.order()
    before = book.content_hash()
    step = Step((Entered(order.session, utc_now(), "test").created(order, "contract"),), (order,), ())
    with pytest.raises(LiveUnsigned):
        hand_over(step, Desk(book, attempt.broker(), read_settings(where), utc_now))
    assert book.content_hash() == before
    attempt.trust()
    attempt.signed()
    hand_over(step, Desk(book, attempt.broker(), read_settings(where), utc_now))
    assert [row["order_id"] for row in book.rows("orders")] == [order.order_id]
    assert len(attempt.gateway.orders) == 1
