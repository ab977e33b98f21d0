"""Everything Dagster knows of Daybook, wired together.

Belongs here: collecting assets, checks, jobs, schedules, sensors and resources. Does not belong here: any of them.
"""

import warnings

import dagster as dg

# Dagster says of partitions of checks, single-run backfills and others that they may still change; we pin its version.
for kind in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=kind)

from assets import backtests
from assets import quality as quality_data
from assets import reference as reference_data
from checks import CHECKS
from pipelines import configuration_sensor, jobs, orders, quality, risk_limits, schedules, sensors, statements
from pipelines.deployments import reference, resources
from pipelines.progress import step_lines
from pipelines.settings import place

PLACE = place()

defs = dg.Definitions(
    assets=dg.with_source_code_references(
        [*jobs.BY_SESSION, *jobs.UNPARTITIONED, *reference_data.SPECS, *quality_data.SPECS, *backtests.SPECS]
    ),
    asset_checks=[*CHECKS, *jobs.BACKTEST_CHECKS, *quality.CHECKS],
    jobs=[*jobs.JOBS, orders.orders, quality.QUALITY],
    schedules=schedules.schedules(lambda: list(reference(PLACE).exchange_groups().values())),
    sensors=[
        *sensors.SENSORS,
        risk_limits.risk_limits,
        statements.broker_statements,
        configuration_sensor.configuration_changed,
    ],
    resources=dict(resources(PLACE)),
    loggers={"step_lines": step_lines},
    executor=dg.in_process_executor,
)
