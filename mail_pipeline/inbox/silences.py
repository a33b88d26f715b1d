"""Times in which no receiver was up, from the times in which some were."""

from collections.abc import Iterator, Sequence


def silences(
    up: Sequence[tuple[float, float]], *, longer_than: float, until: float | None = None
) -> list[tuple[float, float]]:
    """Return the times that none of these (start, end) covers, in order, that are longer than so much.

    All in unix seconds; `up` is in the order of the starts, each of which may reach over the next. From the
    first start to the last end, and on to `until` where that is given; empty where there is none.
    """
    if not up:
        return []
    known = [*up, (until, until)] if until is not None else up
    return [(start, end) for start, end in _between(known) if end - start > longer_than]


def _between(up: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    end = up[0][1]
    for start, last in up[1:]:
        if start > end:
            yield end, start
        end = max(end, last)
