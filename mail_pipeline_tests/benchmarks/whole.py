"""Benchmarks that run whole, if small, where somebody asks for it: together they take minutes."""

import os

import pytest

ASKED = "MAIL_PIPELINE_TEST_BENCHMARKS"

whole = pytest.mark.skipif(not os.environ.get(ASKED), reason=f"runs a benchmark whole; set {ASKED}=1")
