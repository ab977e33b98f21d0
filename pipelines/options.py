"""What people type as the values of options: days, amounts, instrument codes.

Belongs here: kinds of values that commands of several files take. Does not belong here: the options themselves, which
stand with their commands (`commands/`).
"""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import click

from trading.errors import UsageError

DAY = click.DateTime(formats=["%Y-%m-%d"])


class Amount(click.FloatRange):
    """A number more than nothing, and a number at all."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=1e12)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click's; NaN, which no bound catches, is refused."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value} is not a number more than 0.", param, ctx)
        return found


AMOUNT = Amount()


def codes(text: str | None) -> tuple[str, ...]:
    """Instrument codes of a text like CORN,US10; none where there is no text. Raises UsageError on an empty name."""
    if text is None:
        return ()
    found = tuple(code.strip() for code in text.split(","))
    if not all(found):
        raise UsageError(
            f"--instruments {text!r} has an empty name. Write codes like CORN,US10, or leave the option out."
        )
    return found


def date_of(value: Any) -> date | None:
    """The day of what `DAY` read, or None where the option was left out."""
    return None if value is None else value.date()
