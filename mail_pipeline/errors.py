"""Errors, classed by what the caller should do about them.

MailPipelineError
├── RetryLater      the same call may succeed later: the mailbox is paused
├── SkipMailbox     this mailbox cannot go on, the others can
└── StopRun         nothing can go on: the key, the address, the disk, the version
"""

import traceback


class MailPipelineError(Exception):
    """Base of every error this package raises on purpose.

    `str()` gives the message followed by the next step. Neither holds a secret or mail content.
    """

    def __init__(self, message: str, *, next_step: str = "") -> None:
        """Take what went wrong and, as a sentence of its own, what to do about it."""
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        """Return the message and the next step as one line of text."""
        if not self.next_step:
            return self.message
        return f"{self.message.rstrip('.')}. {self.next_step}"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the keyword arguments too, since errors cross process borders."""
        return (_rebuild, (type(self), self.args, self.__dict__))


class RetryLater(MailPipelineError):
    """The same call may succeed later; the mailbox is paused meanwhile."""

    def __init__(self, message: str, *, next_step: str = "", retry_after: float | None = None) -> None:
        """Take also the seconds after which a new try makes sense, where they are known."""
        super().__init__(message, next_step=next_step)
        self.retry_after = retry_after


class SkipMailbox(MailPipelineError):
    """This mailbox cannot go on; the others can."""


class StopRun(MailPipelineError):
    """Nothing can go on: the key, the address, the disk or the version is wrong."""


def _rebuild(
    kind: type[MailPipelineError], args: tuple[object, ...], state: dict[str, object]
) -> MailPipelineError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def traced(error: BaseException) -> str:
    """Return for the log of what kind an error is and where it comes from, and not what it says.

    An unexpected error's text may hold a value from somebody's mail.
    """
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}\n{''.join(traceback.format_tb(error.__traceback__))}"
