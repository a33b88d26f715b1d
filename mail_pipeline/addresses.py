"""Addresses in the form to group by: two spellings of one mailbox become one, two people never do."""

from functools import lru_cache

import idna

GOOGLE = frozenset({"gmail.com", "googlemail.com"})
"""Domains of Gmail, where dots before the @ make no difference."""

PLUS_IS_A_TAG = GOOGLE | {
    "fastmail.com",
    "fastmail.fm",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "mac.com",
    "me.com",
    "msn.com",
    "outlook.com",
    "pm.me",
    "proton.me",
    "protonmail.com",
}
"""Domains whose provider says that `name+tag` is the mailbox of `name`. Elsewhere it may be another's."""


@lru_cache(maxsize=8192)
def canonical(address: str | None) -> tuple[str | None, str | None]:
    """Return an address in canonical form, and its domain; None for what is not there.

    Trimmed, in lower case, an international domain in its ASCII form (IDNA). Where the domain is one of a
    provider that says so, a `+tag` is left out; at Gmail dots before the @ are too, and googlemail.com is
    gmail.com. A text without an @ comes back trimmed and in lower case, without a domain. U+FFFD stands for
    NUL, which nothing can be grouped by in the lake.
    """
    lowered = (address or "").strip().lower().replace("\0", "\ufffd")
    if not lowered:
        return None, None
    local, at, domain = lowered.rpartition("@")
    if not at:
        return lowered, None
    domain = _ascii(domain)
    if domain in PLUS_IS_A_TAG:
        local = local.partition("+")[0] or local
    if domain in GOOGLE:
        local, domain = local.replace(".", "") or local, "gmail.com"
    return f"{local}@{domain}", domain


def _ascii(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        # No such domain can exist; it is still one thing to group by.
        return domain
