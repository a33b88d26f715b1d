"""Mailboxes connected through the Nylas v3 API, as tables analysts can trust."""

from mail_pipeline.asking import connect

__all__ = ["connect"]
