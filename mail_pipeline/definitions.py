"""The code location: everything Dagster shows and runs."""

import dagster as dg

from mail_pipeline import jobs
from mail_pipeline.assets.accounts import folders, grants
from mail_pipeline.assets.directory import calendars, contacts, events, provider_threads, threads
from mail_pipeline.assets.live import message_updates, reconciliations, webhooks
from mail_pipeline.assets.mail import mailboxes, messages
from mail_pipeline.checks import CHECKS
from mail_pipeline.resources import MailPipelineResource
from mail_pipeline.schedules import SCHEDULES
from mail_pipeline.sensors import SENSORS

defs = dg.Definitions(
    assets=[
        *(grants, folders),
        *(messages, mailboxes, threads, provider_threads),
        *(contacts, calendars, events),
        *(message_updates, webhooks, reconciliations),
    ],
    asset_checks=CHECKS,
    jobs=jobs.JOBS,
    schedules=SCHEDULES,
    sensors=SENSORS,
    resources={"mail_pipeline": MailPipelineResource()},
    # The work is one step of network calls: a process per step would double a run's cost.
    executor=dg.in_process_executor,
)
