"""Rule: a dataset has its columns, of their types, and required values are there."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from trading.frames import DATASETS
from trading.quality.rule import RuleContext, finding, findings, found, rule, together


def _fits(values: pd.Series, kind: pa.DataType) -> bool:
    """Whether a pandas column can be of an Arrow type; a column of nothing but missing values fits any."""
    if values.isna().all():
        return True
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pd.api.types.is_datetime64_any_dtype(values.dtype)
    if pa.types.is_boolean(kind):
        return pd.api.types.is_bool_dtype(values.dropna().infer_objects().dtype)  # an object where some are missing
    return pd.api.types.is_string_dtype(values.dtype)


def _of_column(frame: pd.DataFrame, context: RuleContext, field: pa.Field) -> pd.DataFrame:
    """Findings about one column of the dataset."""
    name = context.dataset.name
    if field.name not in frame:
        said = f"{name} lacks the column {field.name}. Write every column of trading.frames.DATASETS[{name!r}]."
        return findings([finding("*", context.last, said, label=field.name, column=field.name)])
    if not _fits(frame[field.name], field.type):
        dtype = frame[field.name].dtype
        said = f"column {field.name} of {name} holds {dtype}, not {field.type}. Convert it before it is written."
        return findings([finding("*", context.last, said, label=field.name, column=field.name, value=dtype)])
    if field.nullable:
        return findings()
    said = f"{field.name} may not be missing in {name}. The row is not used; have it delivered whole."
    return found(frame[frame[field.name].isna()], context, said, field.name)


@rule(datasets=DATASETS, quarantine=True, blocking=True)
def schema(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """Every column of the dataset is there, of its type, and required values are not missing."""
    return together(_of_column(frame, context, field) for field in context.dataset.schema)
