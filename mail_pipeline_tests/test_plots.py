"""Plots in Dagster's event log: small, whole, and safe with any label."""

import base64
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.plots import bars

_SVG = "{http://www.w3.org/2000/svg}"
LABELS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), max_size=20)


def read(address: str) -> ElementTree.Element:
    kind, _, data = address.partition(",")
    assert kind == "data:image/svg+xml;base64"
    return ElementTree.fromstring(base64.b64decode(data))


@given(st.lists(st.tuples(LABELS, st.integers(0, 10**9)), max_size=40), LABELS)
def test_every_value_is_a_bar_as_high_as_its_share_and_any_label_is_text(values, title):
    picture = read(bars(title, values))

    heights = [int(bar.attrib["height"]) for bar in picture.iter(f"{_SVG}rect")]
    assert len(heights) == len(values)
    most = max((count for _, count in values), default=0)
    for height, (_, count) in zip(heights, values, strict=True):
        # Even the least that is not nothing can be seen.
        assert (height > 0) == (count > 0)
        assert count < most or height == max(heights)


@pytest.mark.parametrize("many", [1, 24, 200])
def test_a_plot_is_far_below_what_an_event_may_hold(many: int):
    assert len(bars("Messages", [(f"2026-{place}", 10**9) for place in range(many)])) < 150 * many + 1_000
