"""Exchange rates to the base currency, worked by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from trading.errors import MissingFxPair
from trading.frames import FX_RATES, to_table
from trading.market.fx import in_use, to_base

RATES = pd.DataFrame(
    [
        ("EURUSD", "2022-03-01 10:00", "2022-03-01", 1.20),
        ("EURUSD", "2022-03-01 23:00", "2022-03-01", 1.25),
        ("EURUSD", "2022-03-03 23:00", "2022-03-03", 1.60),
        ("USDJPY", "2022-03-02 23:00", "2022-03-02", 125.0),
        ("USDJPY", "2022-03-03 23:00", "2022-03-03", None),
    ],
    columns=["pair", "stamp", "session", "rate"],
).astype({"stamp": "datetime64[us]", "session": "datetime64[us]"})
SESSIONS = pd.DatetimeIndex(["2022-02-28", "2022-03-01", "2022-03-02", "2022-03-03"]).as_unit("us")


def listed(rows: pd.DataFrame) -> list[tuple[str, str, float, str]]:
    return [
        (row.currency, f"{row.session:%m-%d}", row.rate, f"{row.quoted_on:%m-%d}")
        for row in rows.itertuples(index=False)
    ]


def test_the_pair_itself_its_inverse_and_the_base() -> None:
    found = to_base(RATES.iloc[::-1], ["USD", "JPY", "EUR", "EUR"], "USD", SESSIONS)
    assert listed(found) == [
        ("EUR", "03-01", 1.25, "03-01"),  # the last quote of the session
        ("EUR", "03-02", 1.25, "03-01"),  # carried forward
        ("EUR", "03-03", 1.60, "03-03"),
        ("JPY", "03-02", 1 / 125, "03-02"),
        ("JPY", "03-03", 1 / 125, "03-02"),  # a missing rate is no quote
        ("USD", "02-28", 1.0, "02-28"),
        ("USD", "03-01", 1.0, "03-01"),
        ("USD", "03-02", 1.0, "03-02"),
        ("USD", "03-03", 1.0, "03-03"),
    ]
    assert to_table(found, FX_RATES).num_rows == 9


def test_a_cross_goes_through_the_dollar_and_is_as_old_as_its_older_leg() -> None:
    # one yen = 1/125 dollar = 1/125/1.25 euro
    assert listed(to_base(RATES, ["JPY", "USD"], "EUR", SESSIONS)) == [
        ("JPY", "03-02", pytest.approx(1 / 125 / 1.25), "03-01"),
        ("JPY", "03-03", pytest.approx(1 / 125 / 1.60), "03-02"),
        ("USD", "03-01", pytest.approx(0.8), "03-01"),
        ("USD", "03-02", pytest.approx(0.8), "03-01"),
        ("USD", "03-03", pytest.approx(0.625), "03-03"),
    ]


def test_a_pair_quoted_directly_wins_over_the_cross() -> None:
    direct = pd.DataFrame([("EURJPY", SESSIONS[1], SESSIONS[1], 140.0)], columns=RATES.columns)
    found = to_base(pd.concat([RATES, direct]), ["EUR"], "JPY", SESSIONS[2:])
    assert listed(found) == [("EUR", "03-02", 140.0, "03-01"), ("EUR", "03-03", 140.0, "03-01")]


@pytest.mark.parametrize(("currency", "base"), [("GBP", "USD"), ("USD", "GBP"), ("GBP", "EUR"), ("EUR", "GBP")])
def test_a_missing_pair_is_named(currency: str, base: str) -> None:
    with pytest.raises(MissingFxPair, match=f"from {currency} to {base}"):
        to_base(RATES, [currency], base, SESSIONS)


def test_no_currencies_no_rows() -> None:
    assert to_base(RATES, [], "USD", SESSIONS).empty
    assert listed(to_base(RATES.iloc[:0], ["USD"], "USD", SESSIONS[:1])) == [("USD", "02-28", 1.0, "02-28")]


def test_a_currency_is_in_use_for_a_year_after_the_last_price_of_its_instruments() -> None:
    sessions = pd.DatetimeIndex(["2019-12-31", "2020-01-02", "2021-01-01", "2021-01-04"]).as_unit("us")
    rates = pd.DataFrame(
        [(currency, day, 1.0, day) for currency in ("CHF", "EUR", "USD") for day in sessions],
        columns=["currency", "session", "rate", "quoted_on"],
    )
    priced = pd.DataFrame({"instrument": ["BUND", "GOLD"], "session": [sessions[1], sessions[3]]})
    found = in_use(rates, priced, {"BUND": "EUR", "GOLD": "CHF"}, "USD")
    # BUND's only price is of 2 January 2020, 366 days before the 2nd of 2021: used to 1 January 2021.
    assert found.groupby("currency")["session"].apply(list).to_dict() == {
        "CHF": [sessions[3]],
        "EUR": [sessions[1], sessions[2]],
        "USD": list(sessions),
    }
