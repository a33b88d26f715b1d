"""Worlds to mirror from, as those to backfill from."""

from mail_pipeline_tests.backfill.conftest import serve

__all__ = ["serve"]
