"""The `quality` job: the second layer of checks, by Great Expectations. Run by hand or by night, not part of the close.

Belongs here: the job. Does not belong here: an expectation (`checks/suites/`).
"""

import dagster as dg

from checks import expectations

CHECKS = expectations.CHECKS
QUALITY = dg.define_asset_job(
    "quality",
    selection=dg.AssetSelection.checks(*CHECKS),
    description="Expectations on prices, reference data and the book, with Data Docs.",
    executor_def=dg.in_process_executor,
    tags={"daybook/job": "quality"},
)
