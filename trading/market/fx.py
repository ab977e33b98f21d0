"""Foreign exchange: what one unit of each currency is worth in the base currency at each session.

Belongs here: direct, inverse and cross rates. Does not belong here: valuing positions (`trading/book`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from trading.errors import MissingFxPair

CROSS = "USD"  # nearly every pair is quoted against it
YEAR = pd.Timedelta(days=365)


def to_base(rates: pd.DataFrame, currencies: Iterable[str], base: str, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """The columns of FX_RATES: currency, session, rate (base for one unit), quoted_on; sorted by both keys.

    `rates` has the columns pair, stamp, session, rate (CLEAN_FX_RATES). At each session the last quote of that session
    or earlier counts; a session before the first quote has no row. The pair itself is used, else its inverse, else the
    cross through USD, quoted on the older of its two legs. Raises MissingFxPair.
    """
    quotes = _quotes(rates)
    parts = [_converted(quotes, currency, base, sessions) for currency in sorted(set(currencies))]
    if not parts:
        return pd.DataFrame(columns=["currency", "session", "rate", "quoted_on"])
    return pd.concat(parts, ignore_index=True)


def in_use(rates: pd.DataFrame, daily: pd.DataFrame, currency_of: Mapping[str, str], base: str) -> pd.DataFrame:
    """The rows of `to_base` that a desk needs: of the base, and of each currency on sessions up to a year after a
    price (`daily`: instrument and session, as DAILY_PRICES) of an instrument quoted in it.

    Judged session by session, so that a session has the same rows whether it is made alone or in a range.
    """
    priced = pd.DataFrame({"currency": daily["instrument"].map(currency_of), "priced_on": daily["session"]})
    priced = priced.drop_duplicates().sort_values("priced_on", kind="stable").astype({"currency": "str"})
    both = pd.merge_asof(
        rates.sort_values("session", kind="stable").astype({"currency": "str"}), priced,
        left_on="session", right_on="priced_on", by="currency", tolerance=YEAR,
    ).sort_values(["currency", "session"], ignore_index=True)  # fmt: skip
    return both.loc[both["priced_on"].notna() | (both["currency"] == base), rates.columns].reset_index(drop=True)


def require_pairs(pairs: Collection[str], currencies: Iterable[str], base: str) -> None:
    """Raises MissingFxPair for the first currency that no pair, inverse or cross through USD leads to the base."""
    for currency in sorted(set(currencies) - {base}):
        direct = _quoted(pairs, currency, base)
        crossed = _quoted(pairs, currency, CROSS) and _quoted(pairs, CROSS, base)
        if not direct and (CROSS in (currency, base) or not crossed):
            raise MissingFxPair(currency, base)


def _quoted(pairs: Collection[str], one: str, other: str) -> bool:
    return one + other in pairs or other + one in pairs


def _quotes(rates: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The last rate of each session by pair, with the session it was quoted on."""
    present = rates[rates["rate"].notna()].sort_values(["pair", "session", "stamp"], kind="stable")
    last = present.drop_duplicates(["pair", "session"], keep="last").assign(quoted_on=lambda rows: rows["session"])
    return {
        str(pair): own.set_index("session")[["rate", "quoted_on"]] for pair, own in last.groupby("pair", sort=False)
    }


def _converted(quotes: dict[str, pd.DataFrame], currency: str, base: str, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    if currency == base:
        rows = pd.DataFrame({"session": sessions, "rate": 1.0, "quoted_on": sessions})
    else:
        rows = _known(quotes, currency, base, sessions).dropna().rename_axis("session").reset_index()
    rows.insert(0, "currency", currency)
    return rows


def _known(quotes: dict[str, pd.DataFrame], currency: str, base: str, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """Rate and quoted_on at each session, missing before the first quote."""
    direct = _pair(quotes, currency, base, sessions)
    if direct is not None:
        return direct
    first = None if CROSS in (currency, base) else _pair(quotes, currency, CROSS, sessions)
    second = None if CROSS in (currency, base) else _pair(quotes, CROSS, base, sessions)
    if first is None or second is None:
        raise MissingFxPair(currency, base)
    older = first["quoted_on"].where(first["quoted_on"] <= second["quoted_on"], second["quoted_on"])
    return pd.DataFrame({"rate": first["rate"] * second["rate"], "quoted_on": older})


def _pair(quotes: dict[str, pd.DataFrame], one: str, other: str, sessions: pd.DatetimeIndex) -> pd.DataFrame | None:
    """`other` for one unit of `one`, as last quoted, or None where neither the pair nor its inverse is there."""
    if one + other in quotes:
        return quotes[one + other].reindex(sessions, method="ffill")
    if other + one not in quotes:
        return None
    inverse = quotes[other + one].reindex(sessions, method="ffill")
    return inverse.assign(rate=1.0 / inverse["rate"])
