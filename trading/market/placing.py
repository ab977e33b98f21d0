"""Gives delivered rows their session.

Belongs here: which calendar places which row. Does not belong here: the calendars' content, or what is new in a
delivery (`arrivals.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from trading.errors import UnknownInstrument
from trading.frames import Dataset
from trading.market.instruments import Instrument
from trading.market.sessions import SessionCalendar, assign_sessions


def groups_of(rows: pa.Table, instruments: Mapping[str, Instrument], fallback: str) -> Mapping[str, str]:
    """Exchange group of each instrument in `rows`; rates, which no exchange closes, have the group `fallback`.

    Raises UnknownInstrument for a row whose instrument reference data does not hold.
    """
    if "instrument" not in rows.column_names:
        return {"": fallback}
    codes = pc.unique(rows["instrument"]).to_pylist()
    for code in codes:
        if code not in instruments:
            raise UnknownInstrument(code, list(instruments))
    return {code: instruments[code].exchange_group for code in codes}


def with_sessions(
    rows: pa.Table, dataset: Dataset, groups: Mapping[str, str], calendars: Mapping[str, SessionCalendar | None]
) -> pa.Table:
    """The rows with a `session` column, in the dataset's column order without `loaded_at`.

    `groups` is exchange group by instrument (as `groups_of` gives it), `calendars` by group; a group whose calendar is
    None is placed on plain weekdays, a weekend counting to the Friday before.
    """
    stamps = pd.Series(rows["stamp"].to_numpy())
    placed = pd.Series(np.full(len(stamps), np.datetime64("NaT"), dtype="datetime64[us]"))
    group_of_row = _group_of_row(rows, groups)
    for group in sorted(set(groups.values())):
        mine = group_of_row == group
        placed[mine] = assign_sessions(stamps[mine], calendars[group]).to_numpy()
    session = pa.array(placed.to_numpy().astype("datetime64[D]"), pa.date32())
    names = [name for name in dataset.schema.names if name != "loaded_at"]
    return rows.append_column("session", session).select(names)


def _group_of_row(rows: pa.Table, groups: Mapping[str, str]) -> np.ndarray:
    if "instrument" not in rows.column_names:
        return np.full(rows.num_rows, groups[""], dtype=object)
    coded = rows["instrument"].combine_chunks().dictionary_encode()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    names = np.array([groups[code] for code in coded.dictionary.to_pylist()], dtype=object)
    return names[coded.indices.to_numpy(zero_copy_only=False)] if len(names) else np.array([], dtype=object)
