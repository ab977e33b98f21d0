"""How long a year is, in sessions (reference numbers, conventions). Does not belong here: anything measured."""

from __future__ import annotations

SESSIONS_A_YEAR = 256
ROOT_OF_YEAR = 16.0  # daily to annual volatility
