from email import message_from_bytes

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.simulator.mime import body_and_attachments, decoded, participants, received_at


def _parsed(*lines: str):
    return message_from_bytes("\n".join(lines).encode())


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, ""),
        ("plain", "plain"),
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?iso-8859-1?q?caf=E9?= =?utf-8?b?8J+Zgg==?=", "café🙂"),
        ("=?klingon?b?cQ==?=", "=?klingon?b?cQ==?="),
        ("=?utf-8?b?not base64", "=?utf-8?b?not base64"),
        ("lone \udcff byte", "lone ? byte"),
    ],
)
def test_header_words_are_decoded_or_left_as_they_are(header, text):
    assert decoded(header) == text


@given(st.text())
def test_any_header_becomes_text_that_can_be_sent(header):
    decoded(header).encode()


def test_people_have_names_only_where_the_mail_gives_them():
    mail = _parsed('To: Ada <ada@oak.example>, ben@oak.example, "Cox, Cora" <c@oak.example>,', "\t<>", "", "")
    assert participants(mail, "to") == [
        {"name": "Ada", "email": "ada@oak.example"},
        {"email": "ben@oak.example"},
        {"name": "Cox, Cora", "email": "c@oak.example"},
    ]
    assert participants(mail, "cc") == []


def test_an_encoded_name_with_a_comma_is_one_person():
    mail = _parsed("From: =?utf-8?q?M=C3=BCller=2C_Jana?= <jana@oak.example>", "", "")
    assert participants(mail, "from") == [{"name": "Müller, Jana", "email": "jana@oak.example"}]


@pytest.mark.parametrize(
    ("lines", "moment"),
    [
        (["Date: Mon, 01 Jan 2024 10:00:00 +0100"], 1_704_099_600),
        (["Date: Mon, 01 Jan 2024 09:00:00"], 1_704_099_600),
        (
            ["Received: by x; Mon, 01 Jan 2024 09:00:00 +0000", "Date: Tue, 05 Mar 2024 10:00:00 +0000"],
            1_704_099_600,
        ),
        (["Received: by x; nonsense", "Date: Mon, 01 Jan 2024 09:00:00 +0000"], 1_704_099_600),
        (["Date: yesterday"], 0),
        (["Date: Mon, 01 Jan 1900 10:00:00 +0000"], 0),
        (["Subject: none"], 0),
    ],
)
def test_the_date_is_the_last_servers_else_the_senders_else_none(lines, moment):
    assert received_at(_parsed(*lines, "", "text")) == moment


def test_html_wins_and_attachments_are_told_from_it():
    mail = _parsed(
        "Content-Type: multipart/mixed; boundary=b",
        "",
        "--b",
        "Content-Type: text/plain",
        "",
        "plain   text",
        "--b",
        "Content-Type: text/html",
        "",
        "<p>rich</p>",
        "--b",
        "Content-Type: text/html; name=page.html",
        "Content-Disposition: attachment; filename=page.html",
        "",
        "<p>attached</p>",
        "--b",
        "Content-Type: image/png",
        "Content-Disposition: inline",
        "Content-ID: <logo>",
        "Content-Transfer-Encoding: base64",
        "",
        "aGVsbG8=",
        "--b--",
    )
    body, snippet, attachments = body_and_attachments(mail, "grant", "<1@x>")
    assert body == "<p>rich</p>"
    assert snippet == "plain text"
    assert [(a.get("filename"), a["size"], a["is_inline"]) for a in attachments] == [
        ("page.html", 15, False),
        (None, 5, True),
    ]
    assert attachments[1]["content_id"] == "<logo>"
    assert len({a["id"] for a in attachments}) == 2


@pytest.mark.parametrize("charset", ["klingon", "idna", "hex", "utf-16", "a\0b", '""', "utf-8; x"])
def test_an_impossible_charset_still_gives_text(charset):
    mail = message_from_bytes(f"Content-Type: text/plain; charset={charset}\n\n".encode() + b"a..b\xff\xfe")
    body, _, _ = body_and_attachments(mail, "g", "1")
    assert body


def test_an_empty_body_is_not_an_absent_one():
    assert body_and_attachments(_parsed("Subject: x", "", ""), "g", "1")[0] == ""
    assert body_and_attachments(_parsed("Content-Type: image/png", "", "x"), "g", "1")[0] is None


@given(st.binary(max_size=300))
def test_any_bytes_become_a_message(raw):
    mail = message_from_bytes(raw)
    body, snippet, attachments = body_and_attachments(mail, "g", "1")
    assert received_at(mail) >= 0
    assert len(snippet) <= 100
    orjson.dumps([body, snippet, attachments])
