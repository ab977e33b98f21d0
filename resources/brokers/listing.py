"""What a broker's statement file says, before its trades are matched with our orders.

Belongs here: the values, which instrument and contract a broker's name is, and numbers as the broker writes them. Does
not belong here: any file format, or our orders (`order_files.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Protocol

from trading.errors import BadInput
from trading.market.contract_codes import contract_of, root_of
from trading.market.instruments import Instrument, RollParameters

Contract = tuple[str, int]
LARGEST = 10_000_000  # contracts: a larger number is money or a contract id in the wrong column


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade as the broker lists it. `reference` is the order id the broker repeats, or empty. A trade that takes
    back or replaces one of an earlier statement names it in `original`, and its own id has a ~ in it."""

    trade_id: str
    instrument: str
    contract: int
    quantity_contracts: int
    price_points: float
    commission_local: float = 0.0
    executed_at: str | None = None
    reference: str = ""
    original: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """One session's statement: as `trading.book.statements.Statement`, with trades that belong to no order yet."""

    session: date
    positions: Mapping[Contract, int]
    average_points: Mapping[Contract, float] = field(default_factory=dict)
    cash_local: Mapping[str, float] | None = None
    trades: tuple[Trade, ...] | None = None
    as_of: datetime | None = None
    unknown: tuple[str, ...] = ()
    settles_daily: bool = False


class Statements(Protocol):
    """A folder of statement files.

    Raises BadInput where a file is wrong, naming it, and BrokerError where the folder or a file cannot be read.
    """

    def sessions(self) -> Mapping[date, str]:
        """Sessions that have a statement, each with a fingerprint that changes with its files."""
        ...

    def listing(self, session: date) -> Listing | None:
        """A session's statement, or None where there is no file of it."""
        ...


@dataclass(frozen=True, slots=True)
class Symbols:
    """What the broker's names mean: `given` maps them to instrument codes; a name that is an instrument's code itself
    needs no mapping. `sizes` are the multipliers under which the broker lists an instrument, where that is known: a
    contract of another size is another one, however alike the names (micros have the underlying of their big ones)."""

    given: Mapping[str, str]
    instruments: Callable[[date], Mapping[str, Instrument]]
    roll_parameters: Callable[[date], Mapping[str, RollParameters]]
    sizes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def is_of_size(self, instrument: Instrument, multiplier: Decimal | None) -> bool:
        """Whether a contract of this multiplier may be the instrument's."""
        listed = self.sizes.get(instrument.code)
        if multiplier is None or listed is None:
            return True
        return float(multiplier) in (*listed, instrument.point_value_local)

    def instrument(self, symbol: str, session: date, *others: str) -> Instrument | None:
        """The instrument of a symbol (ESM2), its root (ES), or of other names the broker gives it, the first that is
        known; None where none is."""
        known = self.instruments(session)
        names = (symbol, root_of(symbol), symbol.split(" ")[0], *others)
        codes = (self.given.get(name, name) for name in names if name)
        return next((known[code] for code in codes if code in known), None)

    def contract(self, code: str, symbol: str, session: date, expiry: date | None) -> int | None:
        """The contract id by the symbol, else by the expiry and the instrument's roll parameters."""
        parameters = self.roll_parameters(session).get(code)
        return contract_of(symbol, session, expiry, parameters.expiry_offset_days if parameters else None)


Wrong = Callable[[str, str], BadInput]  # makes the error of a field from what was found and the cure


def whole(text: str, wrong: Wrong) -> int:
    """Contracts. Raises what `wrong` makes where they are not a whole number."""
    value = exact(text, wrong)
    if value != value.to_integral_value() or abs(value) > LARGEST:
        raise wrong("not a whole number of contracts", "Correct it: this desk trades whole contracts.")
    return int(value)


def number(text: str, wrong: Wrong) -> float:
    """A price or amount of money."""
    return float(exact(text, wrong))


def exact(text: str, wrong: Wrong) -> Decimal:
    """A finite number, as written."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise wrong("not a number", "Write it with digits and a decimal point, without thousands separators.")
    return value


def in_points(price: Decimal, multiplier: Decimal | None, instrument: Instrument, wrong: Wrong) -> float:
    """A price in the instrument's points. A broker may quote in another unit (dollars for cents), with a multiplier
    that makes up for it: a power of ten. Raises what `wrong` makes where the multiplier is of another contract."""
    own = Decimal(str(instrument.point_value_local))
    if multiplier is None or multiplier == own:
        return float(price)
    ratio = multiplier / own
    if ratio <= 0 or ratio.normalize().as_tuple().digits != (1,):
        raise wrong(
            f"a contract of another size: {instrument.code} has a point value of {own.normalize():f}",
            "Map the symbol to the instrument it is in trading.broker.symbols, or correct point_value_local.",
        )
    return float(price * ratio)


def unknown_name(*parts: str) -> str:
    """The broker's own name of what nobody here could map."""
    return " ".join(part for part in parts if part)


def sorted_names(names: Sequence[str]) -> tuple[str, ...]:
    """Each name once, sorted."""
    return tuple(sorted(set(names)))
