"""Contract ids: which month a contract is, and which contract comes before or after it in a cycle of months.

Belongs here: arithmetic on ids (YYYYMMDD integers, DD = 00 where only the month is known) and cycles (strings of month
letters, in any order). Does not belong here: when a contract is rolled (`rolls.py`), or its prices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading.errors import CalculationError

if TYPE_CHECKING:
    import pandas as pd

MONTH_LETTERS = "FGHJKMNQUVXZ"


def contract_id(year: int, month: int) -> int:
    """The id of a contract month, e.g. 20220300 for March 2022. Raises CalculationError for a month not 1 to 12."""
    if not 1 <= month <= 12:
        raise CalculationError(f"month {month} of {year} is not a contract month. Give a month from 1 to 12.")
    return year * 10_000 + month * 100


def first_of_month(contract: int) -> pd.Timestamp:
    """Midnight of the first day of the contract's month."""
    year, month = _year_and_month(contract)
    import pandas as pd

    return pd.Timestamp(year=year, month=month, day=1)


def in_cycle(contract: int, cycle: str) -> bool:
    """Whether the contract's month is one of the cycle's."""
    return _year_and_month(contract)[1] in _months(cycle)


def next_in_cycle(contract: int, cycle: str) -> int:
    """The first contract of the cycle in a month later than the given contract's (which need not be in the cycle)."""
    year, month = _year_and_month(contract)
    months = _months(cycle)
    later = [candidate for candidate in months if candidate > month]
    return contract_id(year, later[0]) if later else contract_id(year + 1, months[0])


def previous_in_cycle(contract: int, cycle: str) -> int:
    """The last contract of the cycle in a month earlier than the given contract's (which need not be in the cycle)."""
    year, month = _year_and_month(contract)
    months = _months(cycle)
    earlier = [candidate for candidate in months if candidate < month]
    return contract_id(year, earlier[-1]) if earlier else contract_id(year - 1, months[-1])


def _year_and_month(contract: int) -> tuple[int, int]:
    year, month = divmod(int(contract) // 100, 100)
    if not 1 <= month <= 12:
        raise CalculationError(
            f"contract {contract} is not YYYYMMDD with a month from 1 to 12. Correct it in the vendor's data."
        )
    return year, month


def _months(cycle: str) -> list[int]:
    """Months of a cycle, ascending: some reference files list letters out of order."""
    months = sorted({MONTH_LETTERS.find(letter) + 1 for letter in cycle})
    if not months or months[0] == 0:
        raise CalculationError(f"roll cycle {cycle!r} is not made of the month letters {MONTH_LETTERS}. Correct it.")
    return months
