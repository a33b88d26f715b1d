"""What may stand beside a search in the provider's own language (reference: nylas-api 3.1)."""

from collections.abc import Iterable

_ALONE = frozenset({"in", "limit", "page_token"})
_ALLOWED = {"google": _ALONE, "microsoft": _ALONE}
_REFUSED = {"ews": frozenset({"thread_id"})}


def refused_beside_search(provider: str, parameters: Iterable[str]) -> tuple[str, ...]:
    """Return those of a message list's parameters that this provider does not take beside a search."""
    allowed = _ALLOWED.get(provider)
    refused = _REFUSED.get(provider, frozenset())
    return tuple(
        name
        for name in parameters
        if name != "search_query_native"
        and (name in refused or (allowed is not None and name not in allowed))
    )
