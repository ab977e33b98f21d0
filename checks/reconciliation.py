"""Checks of the book against the broker.

Belongs here: which datasets these are. Does not belong here: finding breaks (`trading/book/reconciliation.py`).
"""

from checks.examined import checks_of_layers

CHECKS = checks_of_layers(("reconciliation",))
