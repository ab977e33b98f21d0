"""`daybook live`: signing what is in force, by a file and by a token, and what its commands say when it does not hold.

Does not belong here: what a signature yields (`tests/domain/test_live_permits.py`), or attempts to send orders
(`test_paper_refusals.py`).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines import configuration
from pipelines.deployments import utc_now
from pipelines.settings import place
from pipelines.wiring import ledger, signer
from trading.book.booking import Entered
from trading.book.orders import Order

ACCOUNT = "U0000017"
DESK = """schema = 2
environment = "{environment}"
[data.vendor]
name = "csv_folder"
source = "{home}/prices"
[trading.reconciliation]
owner = "ada"
[trading.broker]
name = "statement_file"
account = "{account}"
"""
SOON = (utc_now() + timedelta(days=30)).date().isoformat()


def put_in_force(home: Path, environment: str = "production", account: str = ACCOUNT, more: str = "") -> int:
    """Applies settings; the number of the version."""
    (home / "desk.toml").write_text(DESK.format(home=home, environment=environment, account=account) + more)
    return configuration.apply(place(home), "the test says so").version.number


def openssl(*words: object) -> str:
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def in_production(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a configuration of production in force. Not to be changed: copy it."""
    home = tmp_path_factory.mktemp("production") / "home"
    home.mkdir()
    put_in_force(home)
    return home


@pytest.fixture
def home(in_production: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(in_production, tmp_path / "home"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key that only its owner can read."""
    path = tmp_path / "live.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", path)
    path.chmod(0o600)
    return path


@pytest.fixture
def live(daybook: Callable[..., Any], home: Path) -> Callable[..., Any]:
    """`daybook live ...` at the home, as JSON."""
    return lambda *words: daybook("live", *words, "--home", home, "--json")


def trust(home: Path, live: Callable[..., Any], key: object) -> str:
    """Puts the key into the home's ring, as a person does; its id."""
    found = live("key", "--key", key).document
    ring = home / "keys" / "live"
    ring.mkdir(parents=True, exist_ok=True, mode=0o700)
    (ring / found["file"]).write_text(found["pem"])
    (ring / found["file"]).chmod(0o644)
    return str(found["key"])


def refused(ended: Any, name: str, said: str = "", code: int = 1) -> None:
    """An exit code, 2 for what was typed; one JSON document with the name of the refusal, and a sentence."""
    assert ended.code == code, ended.out
    assert (ended.document["error"], said in ended.document["message"]) == (name, True), ended.document


# --- signing ----------------------------------------------------------------------------------------------------------
def test_what_is_in_force_is_signed_by_a_trusted_key(live: Callable[..., Any], home: Path, key: Path) -> None:
    name = trust(home, live, key)
    signed = live("sign", "--account", ACCOUNT, "--expires", SOON, "--key", key)
    assert signed.code == 0, signed.err
    in_force = json.loads((home / "config" / "current").read_text())
    document = signed.document
    assert (document["account"], document["version"], document["key"]) == (ACCOUNT, 1, name)
    assert document["configuration"] == in_force["configuration"]
    assert document["expires_at"][:19] == f"{utc_now().date() + timedelta(days=31)}T00:00:00", "the day's end"
    assert live("verify").document["broker"] == "statement_file"
    status = live("status").document
    assert (status["live"], status["trusted_keys"]) == (True, name)


def test_openssl_agrees_with_what_was_signed(live: Callable[..., Any], home: Path, key: Path, tmp_path: Path) -> None:
    trust(home, live, key)
    live("sign", "--account", ACCOUNT, "--expires", SOON, "--key", key)
    document = json.loads((home / "config" / "live.json").read_text())
    (tmp_path / "words").write_text(json.dumps(document["signed"], sort_keys=True, separators=(",", ":")))
    (tmp_path / "signature").write_bytes(bytes.fromhex(document["signature"]))
    words = ("-verify", "-inkey", key, "-rawin", "-in", tmp_path / "words", "-sigfile", tmp_path / "signature")
    assert "Verified Successfully" in openssl("pkeyutl", *words)


def test_a_token_signs_from_end_to_end(
    live: Callable[..., Any], home: Path, token: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = token.make_key("end-to-end")
    (tmp_path / "pin").write_text(token.pin + "\n")
    (tmp_path / "pin").chmod(0o600)
    monkeypatch.setenv("DAYBOOK_PKCS11_MODULE", str(token.module))
    monkeypatch.setenv("DAYBOOK_PKCS11_PIN_FILE", str(tmp_path / "pin"))
    uri = token.uri("end-to-end")
    refused(live("sign", "--account", ACCOUNT, "--expires", SOON, "--key", uri), "LiveKeyUntrusted")
    name = trust(home, live, uri)
    signed = live("sign", "--account", ACCOUNT, "--expires", SOON, "--key", uri)
    assert signed.code == 0, signed.err
    assert live("verify").document["key"] == name
    said = signed.out + signed.err + (home / "config" / "live.json").read_text()
    assert token.pin not in said
    assert public.hex() not in said, "the signature is there, and who made it by name"
    (home / "keys" / "live" / f"{name}.pub").unlink()
    refused(live("verify"), "LiveKeyUntrusted", "no key")


def test_a_token_without_its_pin_signs_nothing(
    live: Callable[..., Any], home: Path, token: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = ("sign", "--account", ACCOUNT, "--expires", SOON, "--key", token.uri("live"))
    refused(live(*sign), "LiveKeyUnusable", "DAYBOOK_PKCS11_MODULE", 2)
    monkeypatch.setenv("DAYBOOK_PKCS11_MODULE", str(token.module))
    refused(live(*sign), "LiveKeyUnusable", "DAYBOOK_PKCS11_PIN_FILE", 2)
    (tmp_path / "pin").write_text(token.pin)
    (tmp_path / "pin").chmod(0o644)
    monkeypatch.setenv("DAYBOOK_PKCS11_PIN_FILE", str(tmp_path / "pin"))
    refused(live(*sign), "LiveKeyUnusable", "who read it knows the PIN. Choose another PIN", 2)
    monkeypatch.delenv("DAYBOOK_PKCS11_PIN_FILE")
    monkeypatch.setenv("DAYBOOK_PKCS11_PIN", "86428642")
    ended = live(*sign)
    refused(ended, "LiveKeyUnusable", "does not take this PIN")
    assert "86428642" not in ended.out + ended.err
    assert not (home / "config" / "live.json").exists()


def test_the_key_may_stand_in_the_environment(
    live: Callable[..., Any], home: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(live("key"), "LiveKeyUnusable", "DAYBOOK_LIVE_KEY", 2)
    monkeypatch.setenv("DAYBOOK_LIVE_KEY", str(key))
    trust(home, live, key)
    assert live("sign", "--account", ACCOUNT, "--expires", SOON).code == 0


def test_the_ring_may_lie_elsewhere(
    live: Callable[..., Any], home: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(home, live, key)
    (home / "keys" / "live").rename(tmp_path / "ring")
    sign = ("sign", "--account", ACCOUNT, "--expires", SOON, "--key", key)
    refused(live(*sign), "LiveKeyUntrusted")
    monkeypatch.setenv("DAYBOOK_LIVE_KEYS", str(tmp_path / "ring"))
    assert live(*sign).code == 0
    assert live("status").document["key_ring"] == str(tmp_path / "ring")


# --- what is not signed -----------------------------------------------------------------------------------------------
def test_signing_makes_nobody_trusted(live: Callable[..., Any], home: Path, key: Path) -> None:
    before = sorted(home.rglob("*"))
    refused(
        live("sign", "--account", ACCOUNT, "--expires", SOON, "--key", key), "LiveKeyUntrusted", "nothing was written"
    )
    assert [path for path in sorted(home.rglob("*")) if path not in before] == []


def test_the_key_that_signs_closes_is_not_taken(live: Callable[..., Any], home: Path) -> None:
    signer(place(home)).sign(b"a close")
    closing = home / "keys" / "signing.pem"
    trust(home, live, closing)
    sign = ("sign", "--account", ACCOUNT, "--expires", SOON, "--key", closing)
    refused(live(*sign), "LiveKeyUntrusted", "signs this desk's closes")


@pytest.mark.parametrize("named", [True, False], ids=["DAYBOOK_SIGNING_KEY", "the home's own"])
def test_a_key_that_will_sign_closes_is_not_taken(
    live: Callable[..., Any], home: Path, key: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """It has not signed one yet, so nothing is kept of it."""
    if named:
        monkeypatch.setenv("DAYBOOK_SIGNING_KEY", str(key))
    else:
        (home / "keys").mkdir(mode=0o700)
        shutil.copy(key, home / "keys" / "signing.pem")
    trust(home, live, key)
    before = sorted(home.rglob("*"))
    refused(
        live("sign", "--account", ACCOUNT, "--expires", SOON, "--key", key), "LiveKeyUntrusted", "signs this desk's"
    )
    assert sorted(home.rglob("*")) == before
    key.unlink()
    if named:
        refused(live("verify"), "LiveUnsigned")
        assert "cannot be told" in live("status").document["trusted_keys"]


@pytest.mark.parametrize(("words", "name", "said"), [
    (("--account", "U0000018", "--expires", SOON), "LiveOtherAccount", "Give that one"),
    (("--account", ACCOUNT, "--expires", "2020-12-31"), "LiveTermWrong", "from today"),
    (("--account", ACCOUNT, "--expires", (utc_now() + timedelta(days=367)).date().isoformat()), "LiveTermWrong",
     "a year ahead at most"),
])  # fmt: skip
def test_what_may_not_be_signed(
    live: Callable[..., Any], home: Path, key: Path, words: tuple[str, ...], name: str, said: str
) -> None:
    trust(home, live, key)
    refused(live("sign", *words, "--key", key), name, said, 2)
    assert not (home / "config" / "live.json").exists()


def test_a_year_ahead_is_signed_to_the_end_of_its_day(live: Callable[..., Any], home: Path, key: Path) -> None:
    trust(home, live, key)
    last = (utc_now() + timedelta(days=365)).date()
    signed = live("sign", "--account", ACCOUNT, "--expires", last.isoformat(), "--key", key)
    assert signed.document["expires_at"][:19] == f"{last + timedelta(days=1)}T00:00:00"


def test_a_key_that_is_none_is_wrong_usage(live: Callable[..., Any], tmp_path: Path) -> None:
    refused(live("key", "--key", tmp_path / "nope.pem"), "LiveKeyUnusable", "cannot be read", 2)
    refused(live("key", "--key", "pkcs11:token=t;object=o?pin-value=1234"), "LiveKeyUnusable", "", 2)


@pytest.mark.parametrize(("content", "said"), [
    ("{", "it is no JSON from line 1, column 2 on"),
    ("{}", "it has no field signed"),
    ("[]", "it has a field of another kind"),
    ('{"signature":"zz","signed":{}}', "it has a field of another kind"),
])  # fmt: skip
def test_a_damaged_file_is_told_in_words(live: Callable[..., Any], home: Path, content: str, said: str) -> None:
    (home / "config" / "live.json").write_text(content)
    ended = live("verify")
    refused(ended, "LiveUnreadable", said)
    assert "Error" not in ended.document["message"]


@pytest.mark.parametrize("environment", ["development", "paper"])
def test_only_production_is_signed(daybook: Callable[..., Any], tmp_path: Path, key: Path, environment: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    put_in_force(home, environment)
    sign = ("live", "sign", "--account", ACCOUNT, "--expires", SOON, "--key", key, "--home", home, "--json")
    refused(daybook(*sign), "LiveOtherEnvironment", environment)
    status = daybook("live", "status", "--home", home, "--json").document
    assert (status["live"], status["refused"]) == (False, "LiveOtherEnvironment")


def test_orders_that_are_at_work_on_paper_are_not_taken_along(live: Callable[..., Any], home: Path, key: Path) -> None:
    trust(home, live, key)
    session = utc_now().date()
    order = Order(f"{session}:trend:GOLD:20220400:target", "trend", "GOLD", 20220400, session, 1, "target", 1800.0)
    ledger(place(home)).record([Entered(session, utc_now(), "test").created(order, "contract")])
    sign = ("sign", "--account", ACCOUNT, "--expires", SOON, "--key", key)
    refused(live(*sign), "LiveOrderFromPaper", order.order_id)


def test_a_mistyped_home_has_no_desk(daybook: Callable[..., Any], tmp_path: Path) -> None:
    assert daybook("live", "status", "--home", tmp_path / "none", "--json").code == 2


# --- what ends a signature --------------------------------------------------------------------------------------------
@pytest.fixture
def signed(live: Callable[..., Any], home: Path, key: Path) -> Path:
    """The home, signed."""
    trust(home, live, key)
    assert live("sign", "--account", ACCOUNT, "--expires", SOON, "--key", key).code == 0
    return home


def test_the_next_version_ends_it_and_going_back_does_not_revive_it(live: Callable[..., Any], signed: Path) -> None:
    assert put_in_force(signed, more="[risk]\nmax_gross_exposure_fraction = 3.0\n") == 2
    refused(live("verify"), "LiveOlderVersion", "version 1 was signed, and version 2 is in force")
    assert configuration.rollback(place(signed), 1, "back").version.number == 3
    refused(live("verify"), "LiveOlderVersion", "version 3 is in force")
    status = live("status")
    assert (status.code, status.document["live"], status.document["refused"]) == (0, False, "LiveOlderVersion")


def test_files_that_are_edited_and_not_applied_change_nothing(live: Callable[..., Any], signed: Path) -> None:
    (signed / "desk.toml").write_text(DESK.format(home=signed, environment="production", account="U0000018"))
    assert live("verify").document["account"] == ACCOUNT


def test_a_copy_of_the_desk_is_another_desk(daybook: Callable[..., Any], signed: Path, tmp_path: Path) -> None:
    shutil.copytree(signed, tmp_path / "copy")
    refused(daybook("live", "verify", "--home", tmp_path / "copy", "--json"), "LiveOtherHome", str(tmp_path / "copy"))


def test_a_pointer_that_somebody_moved_does_not_bring_an_old_signature_back(
    live: Callable[..., Any], signed: Path
) -> None:
    before = (signed / "config" / "current").read_bytes()
    put_in_force(signed, more="[risk]\nmax_gross_exposure_fraction = 3.0\n")
    (signed / "config" / "current").write_bytes(before)
    refused(live("verify"), "LiveOtherConfiguration", "the journal says that version 2")


@pytest.mark.parametrize("spoil", [
    lambda text: text.replace(ACCOUNT, "U0000018"),
    lambda text: text.replace('"number":1', '"number":2'),
    lambda text: text.replace("statement_file", "interactive_brokers"),
    lambda text: text[:-20],
    lambda text: text + " ",
    lambda text: "",
    lambda text: "[" * 4000,
    lambda text: text * 20,
])  # fmt: skip
def test_an_edited_file_does_not_hold(live: Callable[..., Any], signed: Path, spoil: Callable[[str], str]) -> None:
    file = signed / "config" / "live.json"
    file.write_text(spoil(file.read_text()))
    ended = live("verify")
    assert ended.document["error"] in ("LiveSignatureWrong", "LiveUnreadable")


def test_who_ends_a_signature_is_told_to_sign_again(daybook: Callable[..., Any], home: Path, signed: Path) -> None:
    """By apply and by rollback, once; `config status` says yes before it, and no with the reason after it."""
    stands = daybook("config", "status", "--home", home, "--json").document
    assert (stands["live"], stands["live_why"]) == (True, "a signed live configuration is in force")
    text = (home / "desk.toml").read_text()
    (home / "desk.toml").write_text(f"{text}[risk]\nmax_daily_loss_fraction = 0.04\n")
    done = daybook("config", "apply", "--reason", "calm", "--home", home)
    ended = "the live signature of version 1 has ended: sign again with `daybook live sign`"
    assert ended in " ".join(done.out.split()), done.out
    stands = daybook("config", "status", "--home", home, "--json").document
    assert (stands["live"], "\n" in stands["live_why"]) == (False, False)
    assert stands["live_why"] == daybook("live", "status", "--home", home, "--json").document["why"]
    back = daybook("config", "rollback", "1", "--reason", "back", "--home", home, "--json").document
    assert (back["ok"], back["notes"]) == (True, []), "it had ended before"


def test_people_are_told_in_words(daybook: Callable[..., Any], home: Path) -> None:
    ended = daybook("live", "status", "--home", home)
    assert ended.code == 0
    assert "no live configuration is signed" in " ".join(ended.out.split())


# --- a close ----------------------------------------------------------------------------------------------------------
def test_a_close_stops_before_orders_until_what_is_in_force_is_signed(
    loaded_two: Path, daybook: Callable[..., Any], tmp_path: Path, key: Path
) -> None:
    session = "2021-03-30"
    home = Path(shutil.copytree(loaded_two, tmp_path / "home"))
    (home / "prices").mkdir()
    put_in_force(home, more='[data.universe]\ninstruments = ["BUND", "CORN"]\n[data.prices]\ncalendar = "weekdays"\n')
    ended = daybook("close", "--home", home, "--session", session, "--json")
    assert ended.code == 1
    said = ended.out + ended.err
    assert "book" in ended.document["failed_steps"]
    assert "orders are not sent to statement_file (2, 2021-03-30:trend:BUND" in said
    assert "no live configuration is signed" in said
    assert ledger(place(home)).rows("orders") == [], "nothing is recorded of what may not be sent"
    assert not (home / "orders").exists()

    def live(*words: object) -> Any:
        return daybook("live", *words, "--home", home, "--json")

    trust(home, live, key)
    assert live("sign", "--account", ACCOUNT, "--expires", SOON, "--key", key).code == 0
    ended = daybook("close", "--home", home, "--session", session)
    assert f"has no statement for {session}" in ended.out + ended.err, "the orders are out, and the broker is asked"
    assert [path.name for path in (home / "orders").iterdir()] == [f"{session}.csv"]
    assert not (home / "paper-orders").exists()
    assert {row["status"] for row in ledger(place(home)).rows("orders", {"level": "contract"})} == {"sent"}


def test_no_order_is_sent_on_made_up_prices(
    spring: Path, daybook: Callable[..., Any], tmp_path: Path, key: Path
) -> None:
    """The settings name a vendor of files, and its folder is empty: what is there is of the simulated market. That it
    is so after signing is found as well."""
    session, home = "2020-12-28", tmp_path / "home"
    (home / "prices").mkdir(parents=True)
    put_in_force(home, more='[data.universe]\ninstruments = ["BUND", "CRUDE_W", "GOLD", "US10"]\n')

    def live(*words: object) -> Any:
        return daybook("live", *words, "--home", home, "--json")

    sign = ("sign", "--account", ACCOUNT, "--expires", SOON, "--key", key)
    trust(home, live, key)
    assert live(*sign).code == 0
    shutil.copytree(spring / "frames", home / "frames")
    said = "rows of raw_bars in"
    ended = daybook("close", "--home", home, "--session", session, "--json")
    assert ended.code == 1
    assert "orders are not sent to statement_file (4, 2020-12-28:trend:BUND" in ended.out + ended.err
    assert "are of vendor simulated: orders would be decided on made-up prices" in ended.out + ended.err
    assert ledger(place(home)).rows("orders") == []
    assert not (home / "orders").exists()
    signed = (home / "config" / "live.json").read_bytes()
    refused(live(*sign), "LivePricesMadeUp", said)
    assert (home / "config" / "live.json").read_bytes() == signed, "nothing was written"
    refused(live("verify"), "LivePricesMadeUp", "into a new --home")
    assert live("status").document["live"] is False
