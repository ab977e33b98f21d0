"""Live orders and those on paper in one home: neither is shown with the other, nor takes the other's trades.

Does not belong here: who may have a live permit (`tests/domain/test_live_permits.py`), or how trades are matched with
orders (`test_statement_files.py`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from resources.brokers.listing import Trade
from resources.brokers.order_files import HandedOrders, OrderFiles
from trading.book.orders import Order
from trading.config.live import LiveCapability, PaperPermit, Standing, Terms, key_id, sign, verified
from trading.errors import LiveExpired, LiveOrderFromPaper, LiveOtherAccount

THU, FRI = date(2026, 11, 26), date(2026, 11, 27)
NOW = datetime(2026, 11, 26, 22, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
RING = {key_id(PUBLIC): PUBLIC}
STANDING = Standing("ab" * 32, 1, "production", "statement_file", "U17", "/srv/desk")
JUN = 20270600


def capability() -> LiveCapability:
    """For account U17, until a day from now."""
    terms = Terms("ab" * 32, 1, "statement_file", "U17", "/srv/desk", NOW, NOW + timedelta(days=1), key_id(PUBLIC))
    return verified(sign(terms, KEY.sign), RING, STANDING, NOW)


def desk(permit: LiveCapability, now: datetime) -> None:
    """The proof of the desk that was signed."""
    verified(permit.signed, RING, STANDING, now)


def files(home: Path, live: bool, now: datetime = NOW, account: str = "U17") -> OrderFiles:
    permit = capability() if live else PaperPermit()
    return OrderFiles(home / "broker.sqlite", home, permit=permit, clock=lambda: now, account=account, proof=desk)


def order(name: str, quantity: int = 2) -> Order:
    return Order(name, "trend", "GOLD", JUN, THU, quantity, "target", 1800.0)


def names(home: Path, folder: str) -> dict[str, list[str]]:
    """Order ids by file."""
    return {
        file.name: [line.split(",")[0] for line in file.read_text().splitlines()[1:]]
        for file in sorted((home / folder).glob("*"))
    }


def test_neither_is_shown_with_the_other(tmp_path: Path) -> None:
    files(tmp_path, live=False).place([order("on paper")])
    files(tmp_path, live=True).place([order("live")])
    files(tmp_path, live=False).place([order("on paper too")])
    assert names(tmp_path, "orders") == {"2026-11-26.csv": ["live"]}
    assert names(tmp_path, "paper-orders") == {"PAPER-2026-11-26.csv": ["on paper", "on paper too"]}


def test_a_live_trade_is_of_a_live_order_and_one_on_paper_of_one_on_paper(tmp_path: Path) -> None:
    files(tmp_path, live=False).place([order("on paper")])
    files(tmp_path, live=True).place([order("live")])
    traded = Trade("1", "GOLD", JUN, 2, 1800.0, 2.0, "2026-11-27T15:00:00+00:00")
    named = Trade("2", "GOLD", JUN, 2, 1800.0, 2.0, "2026-11-27T15:00:00+00:00", reference="on paper")
    found = HandedOrders(tmp_path / "broker.sqlite", tmp_path, live=True).fills(FRI, [traded, named])
    assert [(fill.fill_id, fill.order_id) for fill in found] == [("1", "live"), ("2", "")]


def test_an_order_that_is_at_work_on_paper_is_not_shown_to_who_executes(tmp_path: Path) -> None:
    files(tmp_path, live=False).place([order("a")])
    with pytest.raises(LiveOrderFromPaper, match="order a "):
        files(tmp_path, live=True).place([order("a"), order("b")])
    assert names(tmp_path, "orders") == {}
    assert files(tmp_path, live=True).unsent([order("a"), order("b")]) == ["b"]


def test_one_that_was_withdrawn_on_paper_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    """The journal would have it at work, and nobody would execute it. The close places it anew, under the next id."""
    files(tmp_path, live=False).place([order("a")])
    files(tmp_path, live=False).cancel(["a"])
    with pytest.raises(LiveOrderFromPaper, match=r"order a .* environment = 'paper'"):
        files(tmp_path, live=True).place([order("a"), order("b")])
    files(tmp_path, live=True).place([order("a:2"), order("b")])
    assert names(tmp_path, "orders") == {"2026-11-26.csv": ["a:2", "b"]}


def test_a_live_order_is_not_shown_on_paper(tmp_path: Path) -> None:
    files(tmp_path, live=True).place([order("a")])
    files(tmp_path, live=False).place([order("a")])
    assert names(tmp_path, "paper-orders") == {}


def test_what_is_live_can_be_withdrawn_after_the_signature_expired(tmp_path: Path) -> None:
    files(tmp_path, live=True).place([order("a")])
    later = files(tmp_path, live=True, now=NOW + timedelta(days=1))
    with pytest.raises(LiveExpired):
        later.place([order("b")])
    with pytest.raises(LiveExpired):
        later.ready([order("b")])
    later.cancel(["a"])
    assert "cancelled" in (tmp_path / "orders" / "2026-11-26.csv").read_text()


def test_statements_of_another_account_get_no_orders(tmp_path: Path) -> None:
    with pytest.raises(LiveOtherAccount):
        files(tmp_path, live=True, account="U18").place([order("a")])
    assert not (tmp_path / "orders").exists()
