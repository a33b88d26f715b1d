"""The client of the Nylas v3 API: grants, folders and messages as pages, attachments, and webhooks."""

from mail_pipeline.nylas.client import NylasClient
from mail_pipeline.nylas.clock import Cancelled, Clock
from mail_pipeline.nylas.errors import (
    CursorRejected,
    GrantRejected,
    KeyRejected,
    MalformedPage,
    NoAnswer,
    NotAllowed,
    NotFound,
    NotNylas,
    ProviderUnavailable,
    Throttled,
    TooLarge,
    Unreachable,
    Unsupported,
    WebhookRefused,
)
from mail_pipeline.nylas.grant import GrantClient, MessageQuery
from mail_pipeline.nylas.pacing import Limits, Pace
from mail_pipeline.nylas.pages import Download, Page
from mail_pipeline.nylas.triggers import TRIGGERS
from mail_pipeline.nylas.webhooks import Webhook

__all__ = [
    "TRIGGERS",
    "Cancelled",
    "Clock",
    "CursorRejected",
    "Download",
    "GrantClient",
    "GrantRejected",
    "KeyRejected",
    "Limits",
    "MalformedPage",
    "MessageQuery",
    "NoAnswer",
    "NotAllowed",
    "NotFound",
    "NotNylas",
    "NylasClient",
    "Pace",
    "Page",
    "ProviderUnavailable",
    "Throttled",
    "TooLarge",
    "Unreachable",
    "Unsupported",
    "Webhook",
    "WebhookRefused",
]
