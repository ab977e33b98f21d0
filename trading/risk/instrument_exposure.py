"""The rule on the value of one instrument. Does not belong here: any other rule."""

from __future__ import annotations

from trading.risk.book_limits import Limits
from trading.risk.breach import Breach
from trading.risk.exposure import Exposure
from trading.risk.rule import risk_rule


@risk_rule
def instrument_exposure(exposure: Exposure, limits: Limits) -> list[Breach]:
    """Absolute notionals of an instrument add up to no more than `max_exposure_fraction` of capital."""
    return [breach for code in exposure.instruments() for breach in _of(code, exposure, limits)]


def _of(code: str, exposure: Exposure, limits: Limits) -> list[Breach]:
    fraction = limits.of(code).max_exposure_fraction
    gross, most = exposure.gross_base(code), fraction * exposure.capital_base
    if gross <= most:
        return []
    text = (
        f"{code}: exposure of {gross:,.0f} passes the limit of {most:,.0f} ({fraction:g} times capital). Reduce the "
        "position, or raise max_exposure_fraction."
    )
    return [Breach("instrument_exposure", code, gross, most, text)]
