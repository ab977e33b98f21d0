"""The rule on contracts of one instrument. Does not belong here: any other rule."""

from __future__ import annotations

from trading.risk.book_limits import Limits
from trading.risk.breach import Breach
from trading.risk.exposure import Exposure
from trading.risk.rule import risk_rule


@risk_rule
def position_size(exposure: Exposure, limits: Limits) -> list[Breach]:
    """No more than `max_position_contracts` of an instrument, long or short, over its contract months."""
    sizes = {code: abs(exposure.net_contracts(code)) for code in exposure.instruments()}
    found = [(code, size, limits.of(code).max_position_contracts) for code, size in sizes.items()]
    return [
        Breach(
            "position_size",
            code,
            float(size),
            float(most),
            f"{code}: {size} contracts pass the limit of {most}. Reduce the position, or raise max_position_contracts.",
        )
        for code, size, most in found
        if size > most
    ]
