"""Checks of what positions are sized by (volatility, correlation, covariance, forecasts, targets, backtests), and of
measures of the book's risk.

Belongs here: which datasets these are. Does not belong here: a rule, or the limits on orders (`trading/risk/`).
"""

from checks.examined import checks_of_layers

CHECKS = checks_of_layers(("analytics", "signals", "backtests", "risk"))
