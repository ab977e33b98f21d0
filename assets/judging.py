"""What the rules are told about a dataset: its reference data, calendars, earlier rows and companions.

Belongs here: reading that context through a session. Does not belong here: a rule, or running one.
"""

from datetime import date, timedelta

import pandas as pd

from assets.layers import Sources
from assets.raw import calendars
from trading.frames import DATASETS, Dataset
from trading.quality.examination import rules_for
from trading.quality.rule import RuleContext

EARLIER = timedelta(days=60)  # enough for the local scale of a series and for the longest holiday
AROUND = timedelta(days=15)


def rule_context(sources: Sources, dataset: Dataset, first: date, last: date) -> RuleContext:
    """The context of every rule of a dataset for sessions `first` to `last`; nothing after `last` is read."""
    instruments = sources.reference.instruments(last)
    groups = {code: instrument.exchange_group for code, instrument in instruments.items()}
    found = calendars(groups, first - EARLIER - AROUND, last + AROUND, sources.reference, sources.desk)
    desk = sources.desk
    return RuleContext(
        dataset=dataset,
        first=first,
        last=last,
        as_of=sources.now,
        instruments=instruments,
        calendars={group: calendar for group, calendar in found.items() if calendar is not None},
        earlier=sources.frame(dataset, first - timedelta(days=1), first - EARLIER),
        companions=_companions(sources, dataset, first, last),
        base_currency=desk.capital.base_currency,
        forecast_cap=max((strategy.forecast_cap for strategy in desk.strategies), default=20.0),
        max_position_contracts=desk.limits.max_position_contracts,
    )


def _companions(sources: Sources, dataset: Dataset, first: date, last: date) -> dict[str, pd.DataFrame]:
    """Other datasets that rules compare with: those that were ever written, over the same sessions."""
    wanted = {name for rule in rules_for(dataset) for name in rule.companions}
    return {name: sources.frame(DATASETS[name], last, first) for name in sorted(wanted & set(sources.frames.written()))}
