"""The rule on the size of the whole book. Does not belong here: any other rule."""

from __future__ import annotations

from trading.risk.book_limits import Limits
from trading.risk.breach import WHOLE_BOOK, Breach
from trading.risk.exposure import Exposure
from trading.risk.rule import risk_rule


@risk_rule
def gross_exposure(exposure: Exposure, limits: Limits) -> list[Breach]:
    """Absolute notionals add up to no more than `max_gross_exposure_fraction` of capital."""
    gross, most = exposure.gross_base(), limits.max_gross_exposure_fraction * exposure.capital_base
    if gross <= most:
        return []
    text = (
        f"gross exposure of {gross:,.0f} passes the limit of {most:,.0f} "
        f"({limits.max_gross_exposure_fraction:g} times capital). "
        "Reduce positions, or raise max_gross_exposure_fraction."
    )
    return [Breach("gross_exposure", WHOLE_BOOK, gross, most, text)]
