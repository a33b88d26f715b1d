"""Proofs that take long and stand beside a quicker one of the same promise: run where that is asked for."""

import os

import pytest

ASKED = "MAIL_PIPELINE_TEST_DEEP"

deep = pytest.mark.skipif(not os.environ.get(ASKED), reason=f"takes long; set {ASKED}=1")
