"""The reference prices and golden numbers beside the project, read plainly (not through Daybook's own vendor)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from trading.market.sessions import assign_sessions

MULTIPLE = {
    "DATETIME": "stamp",
    "PRICE": "price",
    "PRICE_CONTRACT": "price_contract",
    "CARRY": "carry",
    "CARRY_CONTRACT": "carry_contract",
    "FORWARD": "forward",
    "FORWARD_CONTRACT": "forward_contract",
}


def _files(folder: Path) -> pd.DataFrame:
    parts = [pd.read_csv(path).assign(instrument=path.stem) for path in sorted(folder.glob("*.csv"))]
    frame = pd.concat(parts, ignore_index=True).rename(columns=MULTIPLE)
    frame["stamp"] = pd.to_datetime(frame["stamp"]).astype("datetime64[us]")
    return frame.assign(session=assign_sessions(frame["stamp"]))


@pytest.fixture(scope="session")
def vendor_multiple(shared: Path) -> pd.DataFrame:
    """Multiple prices of the 18 instruments, sessions by weekdays."""
    return _files(shared / "data" / "futures" / "multiple_prices_csv")


@pytest.fixture(scope="session")
def vendor_adjusted(shared: Path) -> pd.DataFrame:
    """The vendor's own adjusted prices of the 18 instruments, sessions by weekdays."""
    return _files(shared / "data" / "futures" / "adjusted_prices_csv")


@pytest.fixture(scope="session")
def chapter15(shared: Path) -> Path:
    """The golden numbers."""
    return shared / "golden" / "chapter15"
