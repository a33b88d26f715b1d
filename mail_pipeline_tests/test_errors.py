"""Errors are classed by what to do, say the next step, and cross process borders whole."""

import pickle

import pytest

from mail_pipeline.errors import MailPipelineError, RetryLater, SkipMailbox, StopRun
from mail_pipeline.sync.leases import LeaseLost


@pytest.mark.parametrize(
    ("message", "next_step", "text"),
    [
        ("It broke", "Mend it.", "It broke. Mend it."),
        ("It broke.", "Mend it.", "It broke. Mend it."),
        ("It broke", "", "It broke"),
    ],
)
def test_the_text_is_the_message_and_the_next_step(message: str, next_step: str, text: str) -> None:
    error = StopRun(message, next_step=next_step)

    assert str(error) == text
    assert (error.message, error.next_step) == (message, next_step)


@pytest.mark.parametrize("kind", [RetryLater, SkipMailbox, StopRun])
def test_every_class_is_caught_as_one_of_ours_and_as_no_other(kind: type[MailPipelineError]) -> None:
    assert issubclass(kind, MailPipelineError)
    others = {RetryLater, SkipMailbox, StopRun} - {kind}
    assert not any(issubclass(kind, other) for other in others)


@pytest.mark.parametrize(
    "error",
    [
        MailPipelineError("m"),
        StopRun("m", next_step="n"),
        SkipMailbox("m", next_step="n"),
        RetryLater("m", next_step="n", retry_after=1.5),
        LeaseLost("g"),
    ],
)
def test_an_error_survives_pickling(error: MailPipelineError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
