"""How every kind of event changes the tables of the book.

Belongs here: one fold a kind, and the view of rows it works on. Does not belong here: the tables' columns and the kinds
(`journal.py`), the rules of orders and fills (`order_life.py`, `fills.py`), or storing anything.

A fold reads rows through a `View` and puts changed ones there; whoever drives it (a ledger in a transaction, or
`folded` from nothing) decides where rows come from and what becomes of the changed ones. Floats are added up in one
canonical order, so that a stream of fills in another order gives the same rows to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from trading.book import close_state, order_life
from trading.book.fills import adjustment_of
from trading.book.journal import PROJECTIONS, Event, Scalar
from trading.errors import IllegalMove

Row = Mapping[str, Scalar]
RowKey = tuple[Scalar, ...]
Place = tuple[str, RowKey]  # projection and key


class Source(Protocol):
    """Where rows are that a view does not hold yet."""

    def row(self, projection: str, key: RowKey) -> Row | None:
        """A row by its key."""
        ...

    def fills_of(self, strategy: str, instrument: str, contract: int) -> list[Row]:
        """All rows of fills of one contract of one book."""
        ...


@dataclass(slots=True)
class View:
    """Rows as they are after the events so far; `changed` are the places that differ from the source. `anew` are
    contracts whose position has to be folded again out of all their fills, which `settle` does, once for a batch."""

    source: Source
    rows: dict[Place, Row | None] = field(default_factory=dict)
    changed: dict[Place, None] = field(default_factory=dict)
    fills: dict[RowKey, dict[RowKey, None]] = field(default_factory=dict)
    anew: dict[RowKey, None] = field(default_factory=dict)

    def get(self, projection: str, key: RowKey) -> Row | None:
        """A row, or None."""
        place = (projection, key)
        if place not in self.rows:
            self.rows[place] = self.source.row(projection, key)
        return self.rows[place]

    def put(self, projection: str, key: RowKey, row: Row) -> None:
        """Makes this the row."""
        self.rows[projection, key] = row
        self.changed[projection, key] = None

    def fills_of(self, contract: RowKey) -> list[Row]:
        """Rows of fills of one contract of one book, with what changed here."""
        strategy, instrument, month = contract
        stored = self.source.fills_of(str(strategy), str(instrument), _whole(month))
        found = [row for row in stored if ("fills", (row["fill_id"],)) not in self.changed]
        here = (self.rows["fills", key] for key in self.fills.get(contract, ()))
        return found + [row for row in here if row is not None and _contract(row) == contract]


def apply(view: View, event: Event) -> None:
    """Changes the view by one event. Raises IllegalMove, KeyError on a kind that nobody knows. `settle` comes after the
    last event of a batch."""
    FOLDS[event.kind](view, event)


def settle(view: View) -> None:
    """Folds those positions again that fills came late to, or were changed of."""
    for contract in view.anew:
        fills = [fill for fill in view.fills_of(contract) if fill["state"] != "busted"]
        row = _flat(contract)
        for fill in sorted(fills, key=_order_of):
            row = _moved_by(row, fill)
        view.put("positions", contract, row)
    view.anew.clear()


# --- whole rows -------------------------------------------------------------------------------------------------------
_EMPTY: Mapping[str, dict[str, Scalar]] = {name: dict.fromkeys(p.columns) for name, p in PROJECTIONS.items()}


def _blank(projection: str) -> dict[str, Scalar]:
    return dict(_EMPTY[projection])


def _known(projection: str, values: Mapping[str, Any]) -> dict[str, Scalar]:
    columns = PROJECTIONS[projection].columns
    return {name: value for name, value in values.items() if name in columns}


_FILL = tuple(PROJECTIONS["fills"].columns)


def _fill_row(payload: Mapping[str, Any]) -> dict[str, Scalar]:
    get = payload.get
    return {name: get(name) for name in _FILL}


def _set(view: View, projection: str, key: RowKey, values: Mapping[str, Any]) -> None:
    view.put(projection, key, {**(view.get(projection, key) or _EMPTY[projection]), **values})


# --- orders -----------------------------------------------------------------------------------------------------------
def _order_created(view: View, event: Event) -> None:
    payload = event.payload
    key = (payload["order_id"],)
    was = view.get("orders", key)  # fills may have come before their order; its parent did not hear of them
    _refuse_other_book("order", key, was, event)
    row = {**(was or _blank("orders")), **_known("orders", payload), "moved": order_life.NEW}
    row["filled_contracts"] = row["filled_contracts"] or 0
    row["open_children"] = row["open_children"] or 0
    _put_order(view, key, {**row, "status": None, "filled_contracts": 0}, row)


def _order_moved(view: View, event: Event) -> None:
    key = (event.payload["order_id"],)
    was = view.get("orders", key)
    _refuse_other_book("order", key, was, event)
    if was is None or was["moved"] is None:
        was, state, so_far = was or _EMPTY["orders"], order_life.UNKNOWN, order_life.UNKNOWN
    else:
        state, so_far = str(was["status"]), str(was["moved"])
    if was["level"] == "instrument" and event.kind == "order_changed":
        where = so_far  # what its children do is its state: a new child revives it
    else:
        where = order_life.moved(str(key[0]), state, so_far, event.kind)
    row = {**was, "moved": where}
    for name in ("quantity_contracts", "refusal"):
        if name in event.payload:
            row[name] = event.payload[name]
    _put_order(view, key, was, row)


def _refuse_other_book(what: str, key: RowKey, was: Row | None, event: Event) -> None:
    """Raises IllegalMove where an event is of another strategy than the row it would change: a row is guarded by the
    head of its own stream alone."""
    strategy = event.payload.get("strategy")
    if was is not None and was["strategy"] != strategy:
        raise IllegalMove(
            f"{what} {key[0]} is of strategy {was['strategy']}, and {event.kind} {event.event_id} of {strategy}. "
            "Nothing of the batch was recorded. Find out whose it is."
        )


def _put_order(view: View, key: RowKey, was: Row, row: dict[str, Scalar]) -> None:
    """Puts an order with its status, and passes what changed up to its parent."""
    row["status"] = _status_of(row)
    view.put("orders", key, row)
    if row["parent_id"] is not None:
        _pass_up(view, (row["parent_id"],), was, row)


def _status_of(row: Row) -> str:
    where, filled = str(row["moved"]), _whole(row["filled_contracts"])
    if row["level"] == "instrument":
        return order_life.parent_status(where, filled, _whole(row["open_children"]), _text(row["ended"]))
    quantity = row["quantity_contracts"]
    return order_life.status(where, filled, None if row["moved"] is None or quantity is None else _whole(quantity))


def _pass_up(view: View, key: RowKey, was: Row, child: Row) -> None:
    parent = view.get("orders", key)
    if parent is None:
        return
    if parent["strategy"] != child["strategy"]:
        raise IllegalMove(
            f"order {child['order_id']} of strategy {child['strategy']} names parent {key[0]}, which is of strategy "
            f"{parent['strategy']}. Nothing of the batch was recorded."
        )
    row, status = dict(parent), str(child["status"])
    row["filled_contracts"] = (
        _whole(parent["filled_contracts"]) + _whole(child["filled_contracts"]) - _whole(was["filled_contracts"])
    )
    opened = (status in order_life.OPEN) - (was["status"] in order_life.OPEN)
    row["open_children"] = _whole(parent["open_children"]) + opened
    if was["status"] is None:
        row["ended"] = None  # a new child: how others ended says nothing yet
    elif status in order_life.ENDED:
        row["ended"] = status
    if status in _PROGRESS and _PROGRESS.index(status) > _PROGRESS.index(str(parent["moved"])):
        row["moved"] = status
    row["status"] = _status_of(row)
    view.put("orders", key, row)


_PROGRESS = (order_life.NEW, order_life.APPROVED, order_life.SENT)


# --- fills ------------------------------------------------------------------------------------------------------------
def _fill(view: View, event: Event) -> None:
    _tell(view, event, 0)


def _fill_corrected(view: View, event: Event) -> None:
    _tell(view, event, _whole(event.payload["version"]))


def _tell(view: View, event: Event, version: int) -> None:
    """A fill, or a newer version of one; an older version than the one known says nothing new."""
    payload = event.payload
    key = (payload["fill_id"],)
    was = view.get("fills", key)
    _refuse_other_book("fill", key, was, event)
    if was is not None and was["version"] is not None and _whole(was["version"]) >= version:
        return
    row = _fill_row(payload)
    row["version"], row["state"] = version, "live" if was is None else was["state"]
    _replace_fill(view, key, was, row)


def _fill_busted(view: View, event: Event) -> None:
    key = (event.payload["fill_id"],)
    was = view.get("fills", key)
    _refuse_other_book("fill", key, was, event)
    row: Row = {**(was or _fill_row(event.payload)), "state": "busted"}
    _replace_fill(view, key, was, row)


def _position_adjusted(view: View, event: Event) -> None:
    fill = adjustment_of(event.payload)
    key = (fill.fill_id,)
    values = {**event.payload, "fill_id": fill.fill_id, "commission_local": 0.0, "version": 0, "state": "live"}
    was = view.get("fills", key)
    _refuse_other_book("fill", key, was, event)
    _replace_fill(view, key, was, _fill_row(values))


def _replace_fill(view: View, key: RowKey, was: Row | None, row: Row) -> None:
    before, now, contract = _counted(was), _counted(row), _contract(row)
    view.put("fills", key, row)
    view.fills.setdefault(contract, {})[key] = None
    if was is not None and was["order_id"] and was["order_id"] != row["order_id"]:
        _fill_order(view, was, -before)  # corrected: it filled another order
        _fill_order(view, row, now)
    elif row["order_id"]:
        _fill_order(view, row, now - before)
    if was is None:
        if row["state"] != "busted":
            _add_to_position(view, contract, row)
        return
    view.anew |= {_contract(was): None, contract: None}


def _fill_order(view: View, fill: Row, more: int) -> None:
    key = (fill["order_id"],)
    was = view.get("orders", key)
    if was is None:
        was = {**_EMPTY["orders"], "order_id": key[0], "strategy": fill["strategy"], "filled_contracts": 0,
               "open_children": 0, "status": order_life.UNKNOWN}  # fmt: skip
    elif was["strategy"] != fill["strategy"]:
        raise IllegalMove(
            f"fill {fill['fill_id']} of strategy {fill['strategy']} names order {key[0]}, which is of strategy "
            f"{was['strategy']}. Nothing of the batch was recorded. Find out whose the trade is."
        )
    elif not more:
        return
    _put_order(view, key, was, {**was, "filled_contracts": _whole(was["filled_contracts"]) + more})


def _add_to_position(view: View, contract: RowKey, fill: Row) -> None:
    """A new fill: simply one more where it is the latest in canonical order, else everything anew."""
    if contract in view.anew:
        return
    position = view.get("positions", contract)
    if position is None or str(position["last_fill"]) < _order_of(fill):
        view.put("positions", contract, _moved_by(position or _flat(contract), fill))
    else:
        view.anew[contract] = None


def _counted(row: Row | None) -> int:
    """Contracts that a row of fills counts for."""
    return 0 if row is None or row["state"] == "busted" else _whole(row["quantity_contracts"])


# --- positions --------------------------------------------------------------------------------------------------------
def _contract(fill: Row) -> RowKey:
    return (fill["strategy"], fill["instrument"], fill["contract"])


def _order_of(fill: Row) -> str:
    """The canonical order of fills: by session, then by time (those without one first), then by id. Joined by spaces,
    which sort before everything that a time begins with."""
    return f"{fill['session']} {fill['executed_at'] or ''} {fill['fill_id']}"


def _flat(contract: RowKey) -> Row:
    names = PROJECTIONS["positions"].key
    row = {**_EMPTY["positions"], **dict(zip(names, contract, strict=True))}
    return row | {"quantity_contracts": 0, "realised_points": 0.0, "commission_local": 0.0, "last_fill": ""}


def _moved_by(position: Row, fill: Row) -> Row:
    """A position after one more fill: profit is realised against the average price of what is held (points x
    contracts), which opening trades move and closing trades leave."""
    held, traded, price = _whole(position["quantity_contracts"]), _counted(fill), _real(fill["price_points"])
    average, realised = _real(position["average_points"]), _real(position["realised_points"])
    if not traded:
        pass  # corrected to no contracts: its commission stays
    elif held * traded >= 0:
        average = (held * average + traded * price) / (held + traded)
    elif abs(traded) <= abs(held):
        realised -= traded * (price - average)
    else:
        realised += held * (price - average)
        average = price
    return {
        **position,
        "quantity_contracts": held + traded,
        "average_points": average if held + traded else None,
        "realised_points": realised,
        "commission_local": _real(position["commission_local"]) + _real(fill["commission_local"]),
        "last_fill": _order_of(fill),
    }


# --- the rest ---------------------------------------------------------------------------------------------------------
def _row_of(projection: str, **more: Any) -> Callable[[View, Event], None]:
    """A fold that sets the columns of one row by the payload, and `more`, whose functions are asked of the event."""
    names = PROJECTIONS[projection].key

    def fold(view: View, event: Event) -> None:
        values = _known(projection, event.payload)
        values |= {name: value(event) if callable(value) else value for name, value in more.items()}
        _set(view, projection, tuple(values[name] for name in names), values)

    return fold


def _session(event: Event) -> str:
    return event.session.isoformat()


def _actor(event: Event) -> str:
    return event.actor


def _override_cleared(view: View, event: Event) -> None:
    values = {"state": "cleared", "cleared_reason": event.payload["reason"]}
    _set(view, "overrides", (event.payload["override_id"],), {"override_id": event.payload["override_id"], **values})


def _at(event: Event) -> Scalar:
    return event.at.isoformat()


def _halt_cleared(view: View, event: Event) -> None:
    name = event.payload["halt_id"]
    was = view.get("halts", (name,))
    if was is None or was["state"] != "set":
        raise IllegalMove(
            f"halt {name} is {'unknown' if was is None else 'cleared already'}, so nobody can resume from it. Nothing "
            "of the batch was recorded. `daybook risk halts` lists those in force."
        )
    values = {"state": "cleared", "cleared_by": event.actor, "cleared_at": event.at.isoformat()}
    _set(view, "halts", (name,), values | {"cleared_reason": event.payload["reason"]})


def _close_moved(view: View, event: Event) -> None:
    was = view.get("closes", (event.payload["session"],))
    close_state.move(None if was is None else _text(was["state"]), str(event.payload["to_state"]))
    values = {**_known("closes", event.payload), "state": event.payload["to_state"]}
    _set(view, "closes", (event.payload["session"],), values)


def _close_signed(view: View, event: Event) -> None:
    row = _known("signatures", event.payload) | {"actor": event.actor, "signed_at": event.at.isoformat()}
    _set(view, "signatures", (row["session"], row["version"]), row)
    now = {name: row[name] for name in ("session", "version", "hash")}
    _set(view, "closes", (row["session"],), now)


def _break_seen(view: View, event: Event) -> None:
    names = ("break_id", "ours", "theirs", "timing", "message")
    values = {name: event.payload[name] for name in names if name in event.payload}
    _set(view, "breaks", (values["break_id"],), values | {"seen": event.payload["session"]})


def _break_closed(view: View, event: Event) -> None:
    payload = event.payload
    values = {name: payload[name] for name in ("break_id", "closed_by", "reason")}
    _set(view, "breaks", (values["break_id"],), values | {"state": "closed", "closed": payload["session"]})


def _process(view: View, event: Event) -> None:
    payload = event.payload
    _set(view, "process_state", (payload["process"],), _known("process_state", payload))
    if payload.get("run_id") is None:
        return
    ended = payload["state"] in ("done", "failed", "crashed")
    when = {"ended" if ended else "started": event.at.isoformat()}
    was = view.get("process_runs", (payload["run_id"],))
    if was is not None and was["started"] is not None and not ended:
        when = {}
    _set(view, "process_runs", (payload["run_id"],), _known("process_runs", payload) | {"actor": event.actor} | when)


def _opened(event: Event) -> Scalar:
    return event.payload["session"]


def _nothing(view: View, event: Event) -> None:
    """Of no table: what the journal says of it is all there is to know (`trading/config/versions.py`)."""


FOLDS: Mapping[str, Callable[[View, Event], None]] = {
    "order_created": _order_created,
    **dict.fromkeys(
        ("order_approved", "order_refused", "order_sent", "order_changed", "order_cancelled", "order_expired",
         "order_rejected"), _order_moved),
    "fill": _fill,
    "fill_corrected": _fill_corrected,
    "fill_busted": _fill_busted,
    "position_adjusted": _position_adjusted,
    "cash_booked": _row_of("cash"),
    "limit_changed": _row_of("limits", actor=_actor, session=_session),
    "override_set": _row_of("overrides", state="set", actor=_actor),
    "override_cleared": _override_cleared,
    "halt_set": _row_of("halts", state="set", actor=_actor, session=_session, set_at=_at),
    "halt_cleared": _halt_cleared,
    "close_moved": _close_moved,
    "close_signed": _close_signed,
    "break_opened": _row_of("breaks", state="open", opened=_opened, seen=_opened),
    "break_seen": _break_seen,
    "break_assigned": _row_of("breaks"),
    "break_closed": _break_closed,
    "process": _process,
    "backtest": _row_of("backtests"),
    "configuration_applied": _nothing,
}  # fmt: skip


# --- from nothing -----------------------------------------------------------------------------------------------------
class Tables:
    """All tables in memory, as a source and as what a whole journal comes to."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[RowKey, Row]] = {name: {} for name in PROJECTIONS}
        self._fills: dict[RowKey, dict[RowKey, Row]] = {}

    def row(self, projection: str, key: RowKey) -> Row | None:
        """As the source."""
        return self.tables[projection].get(key)

    def fills_of(self, strategy: str, instrument: str, contract: int) -> list[Row]:
        """As the source."""
        return list(self._fills.get((strategy, instrument, contract), {}).values())

    def take(self, view: View) -> None:
        """Takes a view's changes over."""
        for projection, key in view.changed:
            row = view.rows[projection, key]
            assert row is not None
            was = self.tables[projection].get(key)
            self.tables[projection][key] = row
            if projection == "fills":
                if was is not None:
                    self._fills[_contract(was)].pop(key)
                self._fills.setdefault(_contract(row), {})[key] = row


def folded(events: Iterable[Event]) -> Tables:
    """The tables after these events, from nothing. Raises as `apply`."""
    tables = Tables()
    view = View(tables)
    for event in events:
        apply(view, event)
    settle(view)
    tables.take(view)
    return tables


# --- values -----------------------------------------------------------------------------------------------------------
def _whole(value: Scalar) -> int:
    return 0 if value is None else int(value)


def _real(value: Scalar) -> float:
    return 0.0 if value is None else float(value)


def _text(value: Scalar) -> str | None:
    return None if value is None else str(value)
