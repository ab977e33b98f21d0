"""The reference layer: instruments, as a person keeps them in files.

Belongs here: that reference data exists and what it is, so that checks on it have an asset to stand at. Does not belong
here: reading it (a port, `ReferenceStore`), or anything that makes it: nothing here does.
"""

import dagster as dg

from assets.materialized import OWNERS

INSTRUMENTS = dg.AssetSpec(
    "instruments",
    description="Instruments with currency, point value, tick, asset class and costs: CSV files in `reference/`, with "
    "the home's own over them. Kept by people, in git.",
    group_name="reference",
    owners=OWNERS,
    kinds={"csv"},
    tags={"daybook/layer": "reference"},
)
SPECS = [INSTRUMENTS]
