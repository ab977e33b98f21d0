"""Quarantine: rows that a rule refused are set aside whole, with the rule that did.

Belongs here: the split. Does not belong here: deciding what is wrong (`rules/`) or storing either half.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from trading.frames import QUARANTINE, to_pandas
from trading.frames import empty as no_rows
from trading.quality.examination import Examination
from trading.quality.rule import series_text


def split(frame: pd.DataFrame, examination: Examination) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows no rule refused, and rows of QUARANTINE: one for each refused row and rule that refused it.

    `frame` is the frame that was examined, in the same order; the rows kept keep their index.
    """
    frame = frame.reset_index(drop=True)
    refused = np.zeros(len(frame), dtype=np.bool_)
    aside = []
    for name, mask in examination.refused.items():
        refused |= mask
        aside.append(_set_aside(frame[mask], examination, name))
    held = pd.concat(aside, ignore_index=True) if aside else to_pandas(no_rows(QUARANTINE))
    return frame[~refused], held


def _set_aside(rows: pd.DataFrame, examination: Examination, rule: str) -> pd.DataFrame:
    label = rows["label"] if "label" in rows else rows["stamp"].astype("str")
    return pd.DataFrame(
        {
            "dataset": examination.dataset.name,
            "series": series_text(rows, examination.dataset),
            "label": label,
            "session": rows["session"],
            "rule": rule,
            "row": _as_json(rows),
        }
    )


def _as_json(rows: pd.DataFrame) -> list[str]:
    """Each row as JSON with sorted keys; `loaded_at` is left out, so that the same row loaded again is the same."""
    plain = rows.drop(columns="loaded_at", errors="ignore")
    return [json.dumps(row, sort_keys=True, default=str) for row in plain.to_dict("records")]
