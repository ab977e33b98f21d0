"""How exchanges and brokers name a contract: month codes (ESM2), month names (FGBL JUN 22) and expiry dates.

Belongs here: from such a name to a contract id (`contracts.py`). Does not belong here: which instrument a symbol is, or
the names of any one broker.

The month in a contract's name is the month it is known by, which often is not the month it expires in: crude oil and
gas expire in the month before, Brent two months before. So a name that tells the month is believed before the expiry
date, and an expiry date is moved by the days the instrument's contracts expire after the first of their month.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from trading.market.contracts import MONTH_LETTERS, contract_id

MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
MONTHS_PAST, MONTHS_AHEAD = 1, 2  # how far the month in a name is from the month of expiry, at most
YEARS_AHEAD = 15  # how far the year in a name is from the session, at most
_CODED = re.compile(rf"(?P<root>.+?)\s*(?P<month>[{MONTH_LETTERS}])(?P<year>\d{{1,2}})")
_NAMED = re.compile(rf"(?P<root>.+?)\s+(?P<month>{'|'.join(MONTH_NAMES)})\s*(?P<year>\d{{4}}|\d{{2}})")


def root_of(symbol: str) -> str:
    """The symbol without its month, e.g. ES of ESM2 and FGBL of `FGBL JUN 22`; all of it where it has none."""
    found = _split(symbol)
    return found["root"].strip() if found else symbol


def named_contract(symbol: str, session: date, expiry: date | None = None) -> int | None:
    """The contract id that a symbol tells, e.g. 20220600 for ESM2 in a statement of 2022; None where it tells none.

    A year of one digit is the one nearest to the expiry, or the first whose month is not long past in the session. A
    month too far from the expiry, or else from the session, is none: ESTX50 is not a contract of 2050.
    """
    found = _split(symbol)
    if found is None:
        return None
    word = found["month"]
    month = (MONTH_LETTERS.index(word) if len(word) == 1 else MONTH_NAMES.index(word)) + 1
    year = _year(found["year"], month, session, expiry)
    return contract_id(year, month) if _plausible(year, month, session, expiry) else None


def expiring_contract(expiry: date, expiry_offset_days: int | None = None) -> int:
    """The contract that expires on a date: the month whose first day is nearest to the date less the days from the
    first of a contract's month to its expiry; with those unknown (None) the month of expiry."""
    if expiry_offset_days is None:
        return contract_id(expiry.year, expiry.month)
    middle = expiry - timedelta(days=expiry_offset_days) + timedelta(days=15)
    return contract_id(middle.year, middle.month)


def contract_of(symbol: str, session: date, expiry: date | None, expiry_offset_days: int | None) -> int | None:
    """The contract id by the symbol, else by the expiry; None where neither tells."""
    named = named_contract(symbol, session, expiry)
    if named is not None or expiry is None:
        return named
    return expiring_contract(expiry, expiry_offset_days)


def _split(symbol: str) -> re.Match[str] | None:
    text = symbol.strip().upper()
    return _NAMED.fullmatch(text) or _CODED.fullmatch(text)


def _year(text: str, month: int, session: date, expiry: date | None) -> int:
    if len(text) > 1:
        return int(text) if len(text) == 4 else 2000 + int(text)
    if expiry is not None:
        years = (year for year in range(expiry.year - 5, expiry.year + 6) if year % 10 == int(text))
        return min(years, key=lambda year: abs(_months(year, month) - _months(expiry.year, expiry.month)))
    earliest = _months(session.year, session.month) - 2
    return next(
        year
        for year in range(session.year - 1, session.year + 11)
        if year % 10 == int(text) and _months(year, month) >= earliest
    )


def _plausible(year: int, month: int, session: date, expiry: date | None) -> bool:
    if expiry is None:
        return session.year - 1 <= year <= session.year + YEARS_AHEAD
    return -MONTHS_PAST <= _months(year, month) - _months(expiry.year, expiry.month) <= MONTHS_AHEAD


def _months(year: int, month: int) -> int:
    return year * 12 + month
