"""A Nylas v3 stand-in: generated mailboxes or a person's own mail files, limits and faults included."""

from mail_pipeline.simulator.clock import SimulatedClock
from mail_pipeline.simulator.disorder import Disorder
from mail_pipeline.simulator.faults import SPOILING, TRANSIENT, Fault, FaultRule, Faults
from mail_pipeline.simulator.fleet import PROVIDERS, Fleet, MailboxSpec
from mail_pipeline.simulator.limits import Latency, Limits
from mail_pipeline.simulator.log import LoggedRequest
from mail_pipeline.simulator.postman import Notification
from mail_pipeline.simulator.simulator import API_KEY, Simulator

__all__ = [
    "API_KEY",
    "PROVIDERS",
    "SPOILING",
    "TRANSIENT",
    "Disorder",
    "Fault",
    "FaultRule",
    "Faults",
    "Fleet",
    "Latency",
    "Limits",
    "LoggedRequest",
    "MailboxSpec",
    "Notification",
    "SimulatedClock",
    "Simulator",
]
