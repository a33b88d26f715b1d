"""Plots small enough to lie in an event of Dagster's log, which keeps them twice."""

import base64
from collections.abc import Sequence
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT, _TITLE, _LABELS = 480, 130, 18, 16
_BLUE = "#4f6bed"
_FONT = 'font-family="sans-serif" font-size="10"'


def bars(title: str, values: Sequence[tuple[str, int]]) -> str:
    """Return bars of labelled counts as a data address of an SVG, about 100 bytes a bar.

    Of many bars only the first, the last and the largest are labelled.
    """
    most = max((count for _, count in values), default=0) or 1
    step = _WIDTH / max(len(values), 1)
    room = _HEIGHT - _TITLE - _LABELS
    largest = max(range(len(values)), key=lambda place: values[place][1], default=0)
    few = {0, len(values) - 1, largest} if len(values) > _WIDTH // 60 else set(range(len(values)))
    drawn = [f'<text x="0" y="11" {_FONT} font-weight="bold">{escape(title)}</text>']
    for place, (label, count) in enumerate(values):
        height = max(round(room * count / most), 1 if count else 0)
        left, top = place * step, _TITLE + room - height
        size = f'width="{max(step - 2, 1):.0f}" height="{height}"'
        drawn.append(f'<rect x="{left:.0f}" y="{top}" {size} fill="{_BLUE}"/>')
        if place in few:
            said = f"{escape(label)}: {count:,}"
            at, anchor = (left, "start") if left < _WIDTH / 2 else (left + step - 2, "end")
            drawn.append(f'<text x="{at:.0f}" y="{_HEIGHT - 4}" {_FONT} text-anchor="{anchor}">{said}</text>')
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}">{"".join(drawn)}</svg>'
    )
    return "data:image/svg+xml;base64," + base64.b64encode(picture.encode()).decode()
