"""Whether an error concerns one list of a grant alone, or everything that is asked of the grant."""

from mail_pipeline.errors import MailPipelineError
from mail_pipeline.nylas import GrantRejected, NoAnswer, NotAllowed, ProviderUnavailable, Throttled

REFUSED_IN_A_ROW = 3
"""Lists or objects of a grant that were refused one after the other; then its others are not tried."""


def may_end_the_grant(error: MailPipelineError) -> bool:
    """Tell whether an error, met often enough in a row, says that nothing of the grant is to be had."""
    return isinstance(error, (GrantRejected, Throttled, ProviderUnavailable))


def ends_the_grant(error: MailPipelineError) -> bool:
    """Tell whether it says so by itself: it is none of one list, such as a folder the provider chokes on."""
    if isinstance(error, NoAnswer):
        return True
    return may_end_the_grant(error) and not isinstance(error, (NotAllowed, ProviderUnavailable))
