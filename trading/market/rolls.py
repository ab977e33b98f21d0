"""Rolls: when each contract stops being held, the multiple prices that follow, and where each roll stands.

Belongs here: roll calendars from roll parameters and contract prices, or read back from a vendor's own multiple prices.
Does not belong here: stitching over the rolls (`continuous.py`), or ordering the trades of one (`trading/book`).

Definitions: reference numbers, section 16. A calendar row says: at `roll_at` you stop holding `current`, and `next` is
held after it. `finals` are final prices of one instrument's contracts by stamp: a frame with a column a contract, or a
mapping of contract to series; missing prices count as absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from trading.errors import CalculationError
from trading.market.contracts import first_of_month, in_cycle, next_in_cycle, previous_in_cycle
from trading.market.instruments import RollParameters
from trading.market.sessions import SessionCalendar, assign_sessions

Finals = pd.DataFrame | Mapping[int, pd.Series]

SOON_DAYS = 10
CALENDAR_COLUMNS = [
    "instrument", "session", "roll_at", "current_contract", "next_contract", "carry_contract", "planned",
]  # fmt: skip
STATE_COLUMNS = [
    "instrument", "session", "held_contract", "next_contract", "roll_on", "days_to_roll", "state",
]  # fmt: skip
ROLES = {"price": "current_contract", "carry": "carry_contract", "forward": "next_contract"}
PRICE_COLUMNS = [
    "instrument", "stamp", "price", "price_contract", "carry", "carry_contract", "forward", "forward_contract",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Holding:
    """A contract to hold, when its roll is wanted, what follows it, and the carry contracts of both."""

    desired_on: pd.Timestamp
    current_contract: int
    next_contract: int
    carry_contract: int
    next_carry_contract: int


def desired_roll(parameters: RollParameters, contract: int) -> pd.Timestamp:
    """The date the parameters want a contract rolled: first of its month + expiry offset + roll offset, in days."""
    days = parameters.expiry_offset_days + parameters.roll_offset_days
    return first_of_month(contract) + pd.Timedelta(days=days)


def roll_calendar(parameters: RollParameters, finals: Finals, sessions: SessionCalendar | None = None) -> pd.DataFrame:
    """Both passes: the columns of ROLL_CALENDAR and `planned`, oldest first, for the instrument of the parameters.

    First pass: each contract of the hold cycle that has prices, the next of those, and for carry its neighbour in the
    priced cycle. Second: each wanted date moves to the nearest date (whole days, the earlier of two as near) on which
    current and next, and where carry lies before current both carry contracts, all have prices, later than the roll
    before. Without such a date the carry contracts are let go; still without, the row is skipped at the start and ends
    the calendar later.

    The last row is `planned`: the contract held at the end of the prices, `roll_at` the date its roll is wanted (in the
    past: overdue). A roll is done only once prices have reached its wanted date, so that a calendar made at any session
    does not roll early because its data end there. Where the nearest date lies before the wanted one (a carry contract
    that expires early), the roll is known only once the wanted date is there: prices kept by sessions in between stay
    with the old contract, as they were known. `session` is that of `roll_at`, by `sessions` or by weekdays. Not what is
    stored: ROLL_CALENDAR is the `implied_calendar` of the prices kept.
    """
    prices = _by_contract(finals)
    holdings = _holdings(parameters, {contract: pd.DatetimeIndex(series.index) for contract, series in prices.items()})
    if not holdings:
        return pd.DataFrame(columns=CALENDAR_COLUMNS)
    done, held = _done_rolls(holdings, prices)
    rows = pd.DataFrame(
        [
            *({**asdict(holding), "roll_at": roll_at, "planned": False} for holding, roll_at in done),
            {**asdict(held), "roll_at": _planned_at(held, done), "planned": True},
        ]
    ).astype({"roll_at": "datetime64[us]"})
    calendar = rows.assign(instrument=parameters.instrument, session=_sessions(rows, sessions))
    return calendar[CALENDAR_COLUMNS]


def multiple_prices(calendar: pd.DataFrame, finals: Finals, *, from_first: bool = False) -> pd.DataFrame:
    """The columns of MULTIPLE_PRICES but `session`, by stamp, for the one instrument of the calendar.

    Between two rolls, after the one and up to and including the other, price, carry and forward are the prices of the
    later row's current, carry and next contract, joined on time (a stamp where one of the three has a price is a row).
    A planned row has no end. The reference starts after the first roll; `from_first` also keeps what comes before it.
    Raises CalculationError where a contract rolled into has no prices at all; a missing carry contract is NaN.
    """
    prices = _by_contract(finals)
    rows = calendar.sort_values("roll_at", kind="stable")
    _refuse_unpriced(rows, prices)
    periods = rows.assign(start=rows["roll_at"].shift(1))
    parts = [_period(row, prices) for _, row in periods.iterrows() if from_first or pd.notna(row["start"])]
    if not parts:
        return pd.DataFrame(columns=PRICE_COLUMNS)
    return pd.concat(parts).rename_axis("stamp").reset_index()[PRICE_COLUMNS]


def implied_calendar(multiple: pd.DataFrame) -> pd.DataFrame:
    """The columns of ROLL_CALENDAR and `planned` (always False), as a vendor's own multiple prices imply them.

    `roll_at` is the last row before each change of held contract, `session` that of the first row after it, in which
    the roll became known: a session says the same of itself whether it is closed alone or in a range. Rows with the
    columns of MULTIPLE_PRICES, any number of instruments, in any order.
    """
    rows = multiple[multiple["price_contract"].notna()]
    rows = rows.sort_values(["instrument", "stamp"], kind="stable", ignore_index=True)
    after = rows.shift(-1)
    last = (rows["instrument"] == after["instrument"]) & (rows["price_contract"] != after["price_contract"])
    before = rows[last]
    calendar = pd.DataFrame(
        {
            "instrument": before["instrument"],
            "session": after.loc[last, "session"],
            "roll_at": before["stamp"],
            "current_contract": before["price_contract"].astype("int64"),
            "next_contract": after.loc[last, "price_contract"].astype("int64"),
            "carry_contract": before["carry_contract"],
            "planned": False,
        }
    )
    return calendar.reset_index(drop=True)[CALENDAR_COLUMNS]


def roll_states(
    daily: pd.DataFrame, sessions: pd.DatetimeIndex, parameters: Mapping[str, RollParameters]
) -> pd.DataFrame:
    """The columns of ROLL_STATES: a row for each session and each instrument that has a daily price by then.

    `held_contract` and `next_contract` (the forward) are those of the last DAILY_PRICES row at or before the session.
    `roll_on` is the session that `parameters` (by instrument) want, which may be past (`days_to_roll` negative:
    overdue); without those, missing. A roll's own day is known only afterwards, so it is not looked at.
    State: rolled_today where the contract differs from the one before the session; else roll_soon at 10 days or fewer;
    else hold.
    """
    rows = [_standing(own, sessions) for _, own in daily.groupby("instrument", sort=True)]
    if not rows:
        return pd.DataFrame(columns=STATE_COLUMNS)
    states = _with_roll_on(pd.concat(rows, ignore_index=True), parameters)
    states["days_to_roll"] = (states["roll_on"] - states["session"]).dt.days.astype("Int32")
    soon = (states["days_to_roll"] <= SOON_DAYS).fillna(False).to_numpy(dtype=bool)
    states["state"] = np.select([states["rolled"].to_numpy(dtype=bool), soon], ["rolled_today", "roll_soon"], "hold")
    return states[STATE_COLUMNS]


def _holdings(parameters: RollParameters, contract_days: Mapping[int, pd.DatetimeIndex]) -> list[Holding]:
    priced = sorted(contract for contract, days in contract_days.items() if len(days))
    months = {contract // 100: contract for contract in priced}

    def carry(contract: int) -> int:
        step = next_in_cycle if parameters.carry_offset > 0 else previous_in_cycle
        neighbour = step(contract, parameters.priced_cycle)
        return months.get(neighbour // 100, neighbour)

    held = [contract for contract in priced if in_cycle(contract, parameters.hold_cycle)]
    following = [*held[1:], *(next_in_cycle(contract, parameters.hold_cycle) for contract in held[-1:])]
    return [
        Holding(desired_roll(parameters, one), one, other, carry(one), carry(other))
        for one, other in zip(held, following, strict=True)
    ]


def _by_contract(finals: Finals) -> dict[int, pd.Series]:
    return {int(str(contract)): series.dropna().sort_index() for contract, series in finals.items()}


def _done_rolls(
    holdings: Sequence[Holding], prices: Mapping[int, pd.Series]
) -> tuple[list[tuple[Holding, pd.Timestamp]], Holding]:
    """Rolls that prices have reached, each with its stamp, and the holding after them."""
    reached = max(series.index[-1] for series in prices.values() if len(series))
    after: pd.Timestamp | None = None
    done: list[tuple[Holding, pd.Timestamp]] = []
    for holding in holdings[:-1]:
        if holding.desired_on > reached:
            return done, holding
        roll_at = _nearest(holding, prices, after)
        if roll_at is not None:
            done.append((holding, roll_at))
        elif done:
            return done, holding
        after = max(filter(None, (after, holding.desired_on, roll_at)))
    return done, holdings[-1]


def _nearest(holding: Holding, prices: Mapping[int, pd.Series], after: pd.Timestamp | None) -> pd.Timestamp | None:
    """The stamp to roll at, or None; with the carry contracts where they come first, else without."""
    pair = [holding.current_contract, holding.next_contract]
    with_carry = [*pair, holding.carry_contract, holding.next_carry_contract]
    for contracts in [with_carry, pair] if holding.carry_contract < holding.current_contract else [pair]:
        common = _common(contracts, prices)
        common = common if after is None else common[common > after]
        if len(common):
            away = np.abs((common.normalize() - holding.desired_on).days)
            return pd.Timestamp(common[int(np.argmin(away))])
    return None


def _common(contracts: Sequence[int], prices: Mapping[int, pd.Series]) -> pd.DatetimeIndex:
    """Stamps at which all contracts have a price, ascending."""
    common = pd.DatetimeIndex(prices[contracts[0]].index)
    for contract in contracts[1:]:
        stamps = pd.DatetimeIndex(prices[contract].index) if contract in prices else common[:0]
        common = common.intersection(stamps)
    return common


def _planned_at(held: Holding, done: Sequence[tuple[Holding, pd.Timestamp]]) -> pd.Timestamp:
    """When the roll still to come is wanted; always after the rolls done."""
    return max([held.desired_on, *(roll_at.normalize() + pd.Timedelta(days=1) for _, roll_at in done[-1:])])


def _sessions(rows: pd.DataFrame, calendar: SessionCalendar | None) -> pd.Series:
    """Sessions of the rolls; a planned one may lie beyond the calendar and is counted by weekdays."""
    done, planned = rows[~rows["planned"]], rows[rows["planned"]]
    sessions: pd.Series = pd.concat([assign_sessions(done["roll_at"], calendar), assign_sessions(planned["roll_at"])])
    return sessions


def _refuse_unpriced(rows: pd.DataFrame, prices: Mapping[int, pd.Series]) -> None:
    unpriced = rows.iloc[:-1][~rows["next_contract"].iloc[:-1].isin(list(prices))]
    if len(unpriced):
        roll = unpriced.iloc[0]
        raise CalculationError(
            f"{roll['instrument']} rolls into {roll['next_contract']} at {roll['roll_at']}, but that contract has no "
            "prices. Load it, or take the roll out of the calendar."
        )


def _period(row: pd.Series, prices: Mapping[int, pd.Series]) -> pd.DataFrame:
    """Price, carry and forward after the row's `start` (NaT: from the beginning) and up to its roll, by stamp."""
    nothing = pd.Series(index=pd.DatetimeIndex([], dtype="datetime64[us]"), dtype="float64")
    series = {role: prices.get(row[column], nothing) for role, column in ROLES.items()}
    joined = pd.concat(series, axis=1, join="outer", sort=True).astype("float64")
    contracts = {f"{role}_contract": row[column] for role, column in ROLES.items()}
    joined = joined.assign(instrument=row["instrument"], **contracts)
    first = np.full(len(joined), pd.isna(row["start"])) | (joined.index > row["start"])
    last = np.full(len(joined), bool(row.get("planned", False))) | (joined.index <= row["roll_at"])
    kept: pd.DataFrame = joined.loc[first & last]
    return kept


def _standing(own: pd.DataFrame, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """Held and forward contract of one instrument at each session, and whether the held one is new that session."""
    rows = own.sort_values("session", kind="stable")
    days = rows["session"].to_numpy()
    place = np.searchsorted(days, sessions.to_numpy(), side="right") - 1
    asked, place = sessions[place >= 0], place[place >= 0]
    before = np.searchsorted(days, asked.to_numpy(), side="left") - 1
    held = rows["price_contract"].astype("int64").to_numpy()
    return pd.DataFrame(
        {
            "instrument": rows["instrument"].iloc[0],
            "session": asked,
            "held_contract": held[place],
            "next_contract": rows["forward_contract"].astype("Int64").array[place],
            "rolled": (before >= 0) & (held[before] != held[place]),
        }
    )


def _with_roll_on(states: pd.DataFrame, parameters: Mapping[str, RollParameters]) -> pd.DataFrame:
    """The states with `roll_on`, the session that the parameters want; missing without parameters."""
    held = zip(states["instrument"], states["held_contract"], strict=True)
    wanted = pd.Series(
        [desired_roll(parameters[code], contract) if code in parameters else pd.NaT for code, contract in held],
        index=states.index, dtype="datetime64[us]",
    )  # fmt: skip
    known = wanted.notna()
    wanted[known] = assign_sessions(wanted[known])
    return states.assign(roll_on=wanted)
