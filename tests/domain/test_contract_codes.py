"""Contract months from symbols and expiry dates. Expiries are facts of the exchanges' calendars of 2022."""

from datetime import date

import pytest

from trading.market.contract_codes import contract_of, expiring_contract, named_contract, root_of

SESSION = date(2022, 2, 25)


@pytest.mark.parametrize(("symbol", "expiry", "contract"), [
    ("ESM2", date(2022, 6, 17), 20220600),
    ("CLZ2", date(2022, 11, 21), 20221200),  # crude oil expires in the month before
    ("COILK2", date(2022, 3, 31), 20220500),  # Brent two months before
    ("6EH2", None, 20220300),
    ("clf3", None, 20230100),
    ("FGBL JUN 22", None, 20220600),
    ("Z  JUN22", None, 20220600),
    ("GCJ22", None, 20220400),
    ("GEZ1", None, 20211200),  # two months ago
    ("GEX1", None, 20311100),  # three months ago: of the next decade
    ("GEZ2", date(2032, 12, 13), 20321200),
    ("FESX 20220318 M", date(2022, 3, 18), None),
    ("ESTX50", date(2022, 3, 18), None),  # not a contract of November 2050
    ("ESTX50", None, None),
    ("K200", None, None),
    ("ES", None, None),
    ("M2", None, None),  # a month needs something before it
])  # fmt: skip
def test_what_a_symbol_tells(symbol: str, expiry: date | None, contract: int | None) -> None:
    assert named_contract(symbol, SESSION, expiry) == contract


@pytest.mark.parametrize(("expiry", "offset", "contract"), [
    (date(2022, 6, 17), 16, 20220600),
    (date(2022, 5, 20), -11, 20220600),
    (date(2022, 4, 27), -4, 20220500),
    (date(2022, 3, 31), -32, 20220500),
    (date(2022, 12, 30), -32, 20230200),
    (date(2022, 6, 17), None, 20220600),
])  # fmt: skip
def test_what_an_expiry_tells(expiry: date, offset: int | None, contract: int) -> None:
    assert expiring_contract(expiry, offset) == contract


def test_the_symbol_is_believed_before_the_expiry_and_without_either_nothing_is_known() -> None:
    assert contract_of("CLZ2", SESSION, date(2022, 11, 21), 0) == 20221200
    assert contract_of("CL", SESSION, date(2022, 11, 21), -11) == 20221200
    assert contract_of("CL", SESSION, None, -11) is None


@pytest.mark.parametrize(("symbol", "root"), [("ESM2", "ES"), ("FGBL JUN 22", "FGBL"), ("Z  JUN22", "Z"), ("ES", "ES")])
def test_the_root_of_a_symbol(symbol: str, root: str) -> None:
    assert root_of(symbol) == root
