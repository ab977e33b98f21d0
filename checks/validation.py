"""Checks of prices: what vendors delivered, what is clean, and what is stitched of it.

Belongs here: which datasets these are. Does not belong here: a rule (`trading/quality/rules/`: schema, price range,
OHLC, volume, gaps, spikes, stamps, freshness ...).
"""

from checks.examined import checks_of_layers

CHECKS = checks_of_layers(("raw", "clean", "continuous"))
