"""Bodies as text: what was written, apart from what is quoted, and only once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import pytest

from mail_pipeline.lake.lock import WriteLock
from mail_pipeline.lake.writer import Lake
from mail_pipeline.marts import texts
from mail_pipeline.marts.plain import CONVERTER, Plain, plain
from mail_pipeline.marts.texts import TextReport, refresh_texts
from mail_pipeline.sync.merge import Observation
from mail_pipeline_tests.marts.mail import asked, message, store

GMAIL = (
    '<div dir="ltr">Hello<br>Ann,<ul><li>one</li></ul></div>'
    '<div class="gmail_quote"><div>On Mon, Bob wrote:<br></div>'
    "<blockquote>Old text</blockquote></div>"
)
OUTLOOK = (
    "<html><head><style>p{color:red}</style><title>T</title></head><body><p>Thanks &amp; bye&nbsp;now</p>"
    "<div><p><b>From:</b> Ann &lt;a@x.example&gt;<br><b>Sent:</b> Monday<br><b>Subject:</b> RE: x</p></div>"
    "<p>Old text</p></body></html>"
)
OWA = '<div>New</div><hr><div id="divRplyFwdMsg"><b>From:</b> Ann</div><div>Old text</div>'
APPLE = 'New<br><blockquote type="cite"><div>On 2 Mar, Ann wrote:</div>Old text</blockquote>'


@pytest.mark.parametrize(
    ("body", "text", "quoted"),
    [
        (GMAIL, "Hello\nAnn,\n  • one", "Old text"),
        (OUTLOOK, "Thanks & bye\xa0now", "Old text"),
        (OWA, "New", "Old text"),
        (APPLE, "New", "Old text"),
        ("<p>a<b>b</b>c</p><script>x</script>", "abc", None),
        ("Yes.\n\nOn Mon, 2 Mar, Ann Lee\n<ann@x.example> wrote:\n> Old text\n", "Yes.", "> Old text"),
        (
            "Gerne.\n\nAm Mo., 2. März um 10:00 Uhr schrieb Ann <a@x.example>:\n> Old text",
            "Gerne.",
            "> Old text",
        ),
        ("Oui.\r\n\r\nLe lun. 2 mars, Ann a écrit :\r\n> Old text", "Oui.", "> Old text"),
        ("Danke\n\nVon: Ann\nGesendet: Montag\nAn: Bob\n\nOld text", "Danke", "Old text"),
        ("Ok\n-----Original Message-----\nOld text", "Ok", "Old text"),
        ("Yes.\n> Old\n\n> Old text\n", "Yes.", "> Old text"),
        (
            "On Mon, Ann wrote:\n> One?\n\nYes.\n\n> Two?\n\nNo.",
            "On Mon, Ann wrote:\n> One?\n\nYes.\n\n> Two?\n\nNo.",
            None,
        ),
        (
            "From: the start\nwe wrote:\nnothing. a < b > c",
            "From: the start\nwe wrote:\nnothing. a < b > c",
            None,
        ),
        ("", "", None),
    ],
)
def test_what_was_written_stands_apart_from_what_is_quoted(body, text, quoted):
    found = plain(body)
    assert found.text == text
    assert (found.quoted is None) if quoted is None else (found.quoted or "").endswith(quoted)


@pytest.mark.parametrize(
    "body",
    ["> a\n" * 40_000 + "b", "On a\n" * 20_000, "<div>" * 40_000, "From: x\n" * 20_000, "\0<p>" * 9_000],
)
def test_a_hostile_body_is_done_before_the_test_times_out(body):
    assert len(plain(body).text) <= len(body)


def test_only_what_has_no_text_of_its_body_is_converted(lake: Lake, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(texts, "_BATCH", 2)
    store(
        lake, *(message(f"m{number}", body=f"<p>Text {number}</p>") for number in range(5)), message("none")
    )
    assert refresh_texts(lake.data).converted == 5
    assert refresh_texts(lake.data).converted == 0

    store(lake, message("m1", at=2, body="Other\n> quoted"), Observation("m2", 2, gone=True))
    report = refresh_texts(lake.data)

    assert (report.converted, report.removed, report.rows) == (1, 1, 4)
    assert asked(lake, "SELECT message_id, text, quoted, converter FROM message_texts ORDER BY ALL") == [
        ("m0", "Text 0", None, CONVERTER),
        ("m1", "Other", "> quoted", CONVERTER),
        ("m3", "Text 3", None, CONVERTER),
        ("m4", "Text 4", None, CONVERTER),
    ]

    monkeypatch.setattr(texts, "CONVERTER", "another")
    assert refresh_texts(lake.data).converted == 4
    assert asked(lake, "SELECT DISTINCT converter FROM message_texts") == [("another",)]


def test_a_refresh_waits_for_a_batch_of_another_and_not_for_all_of_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
):
    store(lake, *(message(f"m{number}", body=f"<p>Text {number}</p>") for number in range(6)))
    monkeypatch.setattr(texts, "_BATCH", 2)
    others: list[TextReport] = []

    # Between two batches of the first, another comes and goes.
    class Turn(WriteLock):
        @contextmanager
        def held(self) -> Iterator[None]:
            with super().held():
                yield
            if not others:
                monkeypatch.setattr(texts, "WriteLock", WriteLock)
                others.append(refresh_texts(lake.data))

    monkeypatch.setattr(texts, "WriteLock", Turn)
    first = refresh_texts(lake.data)

    assert (first.converted, others[0].converted) == (2, 4)
    assert asked(lake, "SELECT count(*), count(DISTINCT message_id) FROM message_texts") == [(6, 6)]


def test_two_refreshes_at_once_convert_each_body_once(lake: Lake, monkeypatch: pytest.MonkeyPatch):
    store(lake, *(message(f"m{number}", body=f"<p>Text {number}</p>") for number in range(3)))
    begun, goes_on = threading.Event(), threading.Event()

    def held(body: str) -> Plain:
        begun.set()
        assert goes_on.wait(60)
        return plain(body)

    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(texts, "plain", held)
        first = pool.submit(refresh_texts, lake.data)
        assert begun.wait(60)
        monkeypatch.setattr(texts, "plain", plain)
        second = pool.submit(refresh_texts, lake.data)
        # Time to be through with it all, were it not for the first.
        wait([second], timeout=1)
        goes_on.set()
        assert first.result().converted + second.result().converted == 3

    assert asked(lake, "SELECT message_id, count(*) FROM message_texts GROUP BY ALL ORDER BY ALL") == [
        ("m0", 1),
        ("m1", 1),
        ("m2", 1),
    ]
