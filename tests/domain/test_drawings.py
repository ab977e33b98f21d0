"""Pictures of any length of history are drawn without a warning. Does not belong here: what a page says of them."""

from __future__ import annotations

import gc
import io
import warnings

import pandas as pd
import pytest

from trading.reports import drawings


@pytest.mark.parametrize("months", [1, 6, 13, 18, 23, 60])
def test_panels_of_any_length_are_drawn_without_a_warning(months: int) -> None:
    days = pd.bdate_range("2020-01-01", periods=21 * months)
    wide = pd.DataFrame({"US10": range(len(days)), "GOLD": range(len(days))}, index=days)
    gc.collect()  # what other tests left behind warns as it goes, and not here
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawings.price_lines(wide).savefig(io.BytesIO(), format="png")
