"""The rule on what one session may lose. Does not belong here: any other rule."""

from __future__ import annotations

from trading.risk.book_limits import Limits
from trading.risk.breach import WHOLE_BOOK, Breach
from trading.risk.exposure import Exposure
from trading.risk.rule import risk_rule


@risk_rule
def daily_loss(exposure: Exposure, limits: Limits) -> list[Breach]:
    """A session that loses more than `max_daily_loss_fraction` of capital allows only orders that reduce."""
    loss, most = exposure.session_loss_base, limits.max_daily_loss_fraction * exposure.capital_base
    if loss <= most:
        return []
    text = (
        f"the session lost {loss:,.0f}, more than the limit of {most:,.0f} ({limits.max_daily_loss_fraction:.2%} of "
        "capital): only orders that reduce a position pass. Decide by hand, or raise max_daily_loss_fraction."
    )
    return [Breach("daily_loss", WHOLE_BOOK, loss, most, text)]
