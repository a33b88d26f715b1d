"""The code location: everything Dagster shows and runs."""

import dagster as dg

from mail_pipeline import jobs
from mail_pipeline.assets import accounts, attachments, directory, live, mail, overview, search
from mail_pipeline.checks import CHECKS
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.schedules import SCHEDULES
from mail_pipeline.sensors import SENSORS

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(
        [accounts, mail, attachments, directory, live, search, overview], include_specs=True
    ),
    asset_checks=CHECKS,
    jobs=jobs.JOBS,
    schedules=SCHEDULES,
    sensors=SENSORS,
    resources={"mail_pipeline": MailPipelineResource()},
    # The work is one step of network calls: a process per step would double a run's cost.
    executor=dg.in_process_executor,
)
