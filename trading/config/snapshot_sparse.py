"""What a snapshot says of few symbols only: names of classes and groups, and what strategies change.

Belongs here: that part, read once, in the shape that reads need. Does not belong here: columns (`snapshot.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from trading.config.order_limits import OrderLimits
from trading.config.snapshot_parts import BITS
from trading.config.symbol_fields import Value

_EXPOSURE = "max_exposure_fraction"
_PLACES = {name: place for place, name in enumerate(OrderLimits._fields)}
_PLACES[_EXPOSURE] = _PLACES["max_exposure_base"]


class Sparse(NamedTuple):
    """Names by number, and what each strategy changes: by field, and for `OrderLimits` as (place there, bit of who
    owns the field, value)."""

    asset_classes: tuple[str, ...]
    exchange_groups: tuple[str, ...]
    strategies: Mapping[str, Mapping[str, Value]]
    orders: Mapping[str, tuple[tuple[int, int, Any], ...]]


def sparse(listed: Mapping[str, Any], capital_base: float) -> Sparse:
    """From what `compiled.py` wrote down; `capital_base` in base currency."""
    strategies: Mapping[str, Mapping[str, Value]] = listed["strategies"]
    orders = {name: tuple(_of_orders(changes, capital_base)) for name, changes in strategies.items()}
    return Sparse(tuple(listed["asset_class"]), tuple(listed["exchange_group"]), strategies, orders)


def _of_orders(changes: Mapping[str, Any], capital_base: float) -> Iterator[tuple[int, int, Any]]:
    for name, value in changes.items():
        if name in _PLACES:
            yield _PLACES[name], BITS[name], value * capital_base if name == _EXPOSURE else value
