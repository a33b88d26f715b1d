"""What can go wrong at the API, classed by what the caller should do.

Every text is built from the method, the path without message ids, the status, Nylas' error type
and the request id. The answer's own words are left out: they may quote mail.
"""

from mail_pipeline.errors import MailPipelineError, RetryLater, SkipMailbox, StopRun


class KeyRejected(StopRun):
    """The API key itself does not work: nothing can go on."""


class NotNylas(StopRun):
    """Something answers at the address, but not as the Nylas v3 API does."""


class Unreachable(StopRun):
    """Nothing answers at the address at all. Raised by `NylasClient.check` alone."""


class Throttled(RetryLater):
    """The provider or Nylas asked for less, for longer than one request is retried."""


class ProviderUnavailable(RetryLater):
    """No usable answer (5xx, timeouts, broken connections) for as long as one request is retried."""


class NoAnswer(ProviderUnavailable):
    """Not even an error came back: no connection, or one that broke or stayed silent."""


class MalformedPage(RetryLater):
    """An answer stayed unreadable through several tries. The text names the JSON path."""


class GrantRejected(SkipMailbox):
    """The key works but this grant does not: its owner has to reconnect it."""


class NotAllowed(GrantRejected):
    """The owner of this grant has not allowed what was asked for: a scope is missing."""


class NotFound(SkipMailbox):
    """The grant, folder or message does not exist, or no longer."""


class Unsupported(SkipMailbox):
    """The provider behind this grant cannot do what was asked (400, 422)."""


class TooLarge(MailPipelineError):
    """An attachment has more bytes than were allowed; none of them count."""


class WebhookRefused(MailPipelineError):
    """Nylas would not make or change a webhook: its URL, its triggers or its receiver's answer."""

    def __init__(self, message: str, *, next_step: str = "", triggers: tuple[str, ...] = ()) -> None:
        """Take also the triggers that the refusal names."""
        super().__init__(message, next_step=next_step)
        self.triggers = triggers


class CursorRejected(MailPipelineError):
    """The cursor sent is not accepted (any more): resume by time, or list again from the start."""
