"""What the rules are told about a dataset: its reference data, calendars, earlier rows and companions.

Belongs here: reading that context through a session. Does not belong here: a rule, or running one.
"""

from collections.abc import Iterable
from datetime import date, timedelta

import pandas as pd
import pyarrow as pa

from assets.layers import Sources
from assets.raw import calendars
from trading.frames import DAILY_PRICES, DATASETS, Dataset, day, to_pandas
from trading.quality.examination import rules_for
from trading.quality.rule import RuleContext

EARLIER = timedelta(days=60)  # enough for the local scale of a series and for the longest holiday
AROUND = timedelta(days=15)


def rule_context(sources: Sources, dataset: Dataset, first: date, last: date, codes: Iterable[str] = ()) -> RuleContext:
    """The context of every rule of a dataset for sessions `first` to `last`; nothing after `last` is read.

    Calendars are those of the instruments `codes`; without any, of those with prices in the weeks before `last`.
    """
    instruments = sources.reference.instruments(last)
    followed = set(codes) or _followed(sources, last)
    groups = {code: instruments[code].exchange_group for code in followed if code in instruments}
    earlier = _earlier(sources, dataset, first)
    reach = min([first - EARLIER, *map(day, earlier["session"].dropna())])
    found = calendars(groups, reach - AROUND, last + AROUND, sources.reference, sources.desk)
    desk = sources.desk
    return RuleContext(
        dataset=dataset,
        first=first,
        last=last,
        as_of=sources.now,
        instruments=instruments,
        calendars={group: calendar for group, calendar in found.items() if calendar is not None},
        earlier=earlier,
        companions=_companions(sources, dataset, last),
        base_currency=desk.capital.base_currency,
        forecast_cap=max((strategy.forecasts.cap for strategy in desk.strategies), default=20.0),
        of=desk.symbol,
    )


def codes_in(rows: pa.Table) -> list[str]:
    """The instruments that rows are about; none for rates."""
    codes: list[str] = rows["instrument"].unique().to_pylist() if "instrument" in rows.column_names else []
    return codes


def _followed(sources: Sources, last: date) -> set[str]:
    rows = sources.rows(DAILY_PRICES, last, last - EARLIER, columns=["instrument"])
    if not rows.num_rows and DAILY_PRICES.name in sources.frames.written():
        rows = sources.frames.latest(DAILY_PRICES, through=last)
    return set(rows["instrument"].unique().to_pylist())


def _earlier(sources: Sources, dataset: Dataset, first: date) -> pd.DataFrame:
    """Rows of the weeks before `first`; where there are none, the newest of each series whatever its age, so that a
    dataset that stopped long ago does not look like one that never began."""
    before = first - timedelta(days=1)
    rows = sources.frame(dataset, before, first - EARLIER)
    if len(rows) or dataset.name not in sources.frames.written():
        return rows
    return to_pandas(sources.frames.latest(dataset, through=before))


def _companions(sources: Sources, dataset: Dataset, last: date) -> dict[str, pd.DataFrame]:
    """Other datasets that rules compare with, all of it: positions are the fold of every fill. Those never written are
    left out."""
    wanted = {name for rule in rules_for(dataset) for name in rule.companions}
    return {name: sources.frame(DATASETS[name], last) for name in sorted(wanted & set(sources.frames.written()))}
