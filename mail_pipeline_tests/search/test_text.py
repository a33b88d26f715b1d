import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.search.text import text_of


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", ""),
        ("plain  text\n> quoted", "plain  text\n> quoted"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<p>One</p><p>Two</p>", "One\nTwo"),
        ("<table><tr><td>a<td>b</table>", "a\nb"),
        ("first<br>second<BR/>third", "first\nsecond\nthird"),
        ("re<b>port</b> of<i>f</i>", "report off"),
        ("<p>caf&eacute; &amp; &#8364;5&nbsp;each</p>", "café & €5 each"),
        ("<p>co\u00adoperate\u200b\ufeff</p>", "cooperate"),
        (
            "<html><head><title>t</title><style>p{}</style></head><body>shown<script>x()</script></body>",
            "shown",
        ),
        ("<!-- <p>note</p> --><div title='<p>'>shown</div>", "shown"),
        ("<p>not closed <b>at all", "not closed at all"),
        ("<", "<"),
        ("<?xml version='1.0'?><p>x</p>", "x"),
        ("<frameset></frameset>", ""),
    ],
)
def test_the_text_of_a_body_is_what_people_read(body: str, text: str):
    assert text_of(body) == text


def test_deep_nesting_is_no_harm():
    assert text_of("<div>" * 20_000 + "deep") == "deep"


@given(st.text() | st.text(alphabet="<>/!-&;=\"'abp \n\0"))
def test_any_body_has_a_text(body: str):
    text_of(body).encode()
