"""What a risk rule is: a name, what it measures, of what, and in which words it refuses.

Belongs here: the type that makes a value in a file of `rules/` a rule (`trading/discovery.py` finds it), and the forms
of measures that the engine computes. Does not belong here: any rule, or computing (`trading/kernels/risk_checks.py`).

Every rule is one of a few forms, which is what lets the engine keep a sum for each and judge an order by all of them
without looking at the book:

- `ORDER`: a number of the order itself (`base + per_contract x size`), whatever is held.
- `POSITION`: the largest size of one holding, instrument or contract, whichever working orders are filled.
- `GROSS`: the sum of such sizes over a group, each times a weight.
- `NET`: the signed sum over a group, at its worst. `LOSS`: the same, of which only losing counts.
- `RISK`: of the whole covariance. `TAIL`: of the scenarios.
- `STANDING`: a number of the book that no order changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["ORDER", "POSITION", "GROSS", "NET", "LOSS", "RISK", "TAIL", "STANDING"]
Axis = Literal[
    "portfolio", "strategy", "instrument", "contract", "holding", "sector", "asset_class", "country", "currency",
    "exchange_group", "factor", "component", "scenario",
]  # fmt: skip
GROUPS: tuple[Axis, ...] = ("sector", "asset_class", "country", "currency", "exchange_group")
BOOK: tuple[Axis, ...] = ("portfolio", *GROUPS)
Reducing = Literal["pass", "judge"]
Rolling = Literal["cut", "warn", "skip", "stop"]


@dataclass(frozen=True, slots=True)
class RiskRule:
    """A rule. One row is measured for each of `axes`. `measure` names what the engine computes for the form: a weight
    (`notional`, `volatility`, ...) or a number of the order, the book or the covariance. `per` is what the value is
    divided by, `setting` a setting of a symbol or of `risk` that is its refusing level where `risk.limits` has none.
    `reducing`: whether orders that only reduce a position pass it unseen, unless a limit says otherwise. `rolling`:
    what it does to a roll (`trading/risk/roll_legs.py`): the leg into the next contract is `cut` to what it leaves, or
    it warns of it (`warn`), or is not asked (`skip`); what keeps a leg out of the old contract back too is a `stop`.
    `cure` completes the sentence of a refusal: what to do."""

    name: str
    form: Form
    measure: str
    axes: tuple[Axis, ...]
    unit: str
    description: str
    cure: str
    per: Literal["one", "capital", "equity", "target"] = "one"
    setting: str | None = None
    reducing: Reducing = "pass"
    rolling: Rolling = "cut"
    limit: float | None = None  # of rules that are always in force
    change: bool = False  # measured from the session's open
