"""What may stand beside a search in the provider's own language (reference: nylas-api 3.1)."""

from collections.abc import Iterable

_FOLDER_ALONE = frozenset({"google", "microsoft"})


def refused_beside_search(provider: str, parameters: Iterable[str]) -> tuple[str, ...]:
    """Return those of a message list's parameters that this provider does not take beside a search."""
    if provider not in _FOLDER_ALONE:
        return ()
    return tuple(name for name in parameters if name not in {"search_query_native", "in"})
