"""What the words mean: direction, reply, waiting, newsletter; the definitions analysts rely on."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest

from mail_pipeline.lake.writer import Lake
from mail_pipeline.marts.marks import PATTERNS
from mail_pipeline.marts.refresh import refresh_marts
from mail_pipeline.marts.reporting import DEFAULT, Reporting
from mail_pipeline.marts.tables import BUSINESS_CLOCK
from mail_pipeline_tests.marts.mail import HOUR, MONDAY, account, asked, folder, mailbox, message, sent, store

NINE = MONDAY + 9 * HOUR


def made(lake: Lake, *mail, query: str, email: str | None = "me@home.example"):
    mailbox(lake, email=email)
    store(lake, *mail)
    refresh_marts(lake.data)
    return asked(lake, query)


def test_mail_is_sent_that_comes_from_an_address_of_the_account_whatever_folder_it_lies_in(lake: Lake):
    directions = made(
        lake,
        message("received"),
        message("copy", from_=["ME@home.example"], folders=["INBOX"]),
        message("sent by alias", from_=["alias@home.example"], folders=["SENT"]),
        message("alias again", from_=["Alias@home.example"], folders=["INBOX"]),
        message("nobody", from_=[], folders=["SENT"]),
        message("draft", from_=["draft-only@home.example"], folders=["DRAFT", "SENT"]),
        message("as in the draft", from_=["draft-only@home.example"]),
        query="SELECT message_id, direction FROM message_facts",
    )
    assert dict(directions) == {
        "received": "received",
        "copy": "sent",
        "sent by alias": "sent",
        "alias again": "sent",
        "nobody": "sent",
        "draft": "draft",
        "as in the draft": "received",
    }
    assert asked(lake, "SELECT address, source FROM own_addresses ORDER BY ALL") == [
        ("alias@home.example", "sent"),
        ("me@home.example", "grant"),
    ]


def test_an_alias_or_a_role_learned_later_turns_what_was_stored_before(lake: Lake):
    mailbox(lake)
    store(lake, message("m", from_=["alias@home.example"]), message("n", folders=["Filed"]))
    refresh_marts(lake.data)

    account(lake, extra='{"email_aliases": ["Alias@home.example"]}')
    folder(lake, "Filed", "junk")
    refresh_marts(lake.data)

    assert asked(lake, "SELECT message_id, direction, is_junk FROM message_facts ORDER BY ALL") == [
        ("m", "sent", False),
        ("n", "received", True),
    ]


@pytest.mark.parametrize(
    ("fields", "mark"),
    [
        ({"subject": "Automatic reply: Hello"}, "is_auto_reply"),
        ({"subject": "Out of Office: back on Monday"}, "is_auto_reply"),
        ({"subject": "Automatische Antwort: Hallo"}, "is_auto_reply"),
        ({"subject": "Réponse automatique : Bonjour"}, "is_auto_reply"),
        ({"subject": "Respuesta automática: Hola"}, "is_auto_reply"),
        ({"subject": "Undeliverable: Hello"}, "is_auto_reply"),
        ({"from_": ["MAILER-DAEMON@far.example"]}, "is_auto_reply"),
        ({"from_": ["no-reply@shop.example"]}, "is_newsletter"),
        ({"from_": ["noreply+x@shop.example"]}, "is_newsletter"),
        ({"from_": ["notifications@code.example"]}, "is_newsletter"),
        ({"from_": ["orders-no-reply@shop.example"]}, "is_newsletter"),
        ({"folders": ["INBOX", "CATEGORY_PROMOTIONS"]}, "is_newsletter"),
        ({"subject": "Fwd: Hello"}, "is_forward"),
        ({"subject": "WG: Hallo"}, "is_forward"),
        ({"subject": " fw : Hello"}, "is_forward"),
        ({"subject": "Hello"}, None),
        ({"subject": "Re: office plants, automatic watering"}, None),
        ({"subject": "Forward planning"}, None),
        ({"from_": ["newsom@far.example"]}, None),
        ({"from_": ["bounceback.band@far.example"]}, None),
    ],
)
def test_marks_are_told_by_subject_sender_and_category(fields, mark):
    given = message("m", **fields).fields
    with duckdb.connect() as connection:
        found = connection.execute(
            """SELECT regexp_matches(lower($subject), $auto_reply_subject)
                OR regexp_matches(lower($sender), $auto_reply_sender) AS is_auto_reply,
            regexp_matches(lower($sender), $newsletter_sender)
                OR list_has_any($folders, $newsletter_folders) AS is_newsletter,
            regexp_matches(lower($subject), $forward_subject) AS is_forward""",
            {
                "subject": given["subject"],
                "sender": given["from"][0][1],
                "folders": given["folders"],
                **PATTERNS,
            },
        )
        [marks] = found.fetchall()
        names = [each[0] for each in found.description or ()]
    assert [name for name, marked in zip(names, marks, strict=True) if marked] == ([mark] if mark else [])


def test_the_first_of_a_run_starts_the_clock_and_the_first_of_the_other_side_stops_it(lake: Lake):
    replies = made(
        lake,
        message("q1", date=NINE),
        message("q2", date=NINE + HOUR),
        message("machine", date=NINE + HOUR, from_=["mailer-daemon@far.example"]),
        sent("forward", date=NINE + 2 * HOUR, subject="Fwd: Hello"),
        sent("draft", date=NINE + 2 * HOUR, folders=["DRAFT"]),
        sent("a1", date=NINE + 3 * HOUR),
        sent("a2", date=NINE + 4 * HOUR),
        message("q3", date=NINE + 24 * HOUR),
        sent("a3", date=NINE + 25 * HOUR),
        message("never answered", thread_id="other", date=NINE),
        query="""SELECT message_id, reply_id, answered_by, is_first, seconds, address FROM replies
        ORDER BY replied_at""",
    )
    assert replies == [
        ("q1", "a1", "us", True, 3 * HOUR, "other@far.example"),
        ("a1", "q3", "them", True, 21 * HOUR, "other@far.example"),
        ("q3", "a3", "us", False, HOUR, "other@far.example"),
    ]
    assert asked(
        lake,
        "SELECT answered_by, replies, median_seconds, first_replies FROM response_times ORDER BY ALL DESC",
    ) == [("us", 2, 2.0 * HOUR, 1), ("them", 1, 21.0 * HOUR, 1)]


def business_seconds(reporting: Reporting, begin: datetime, end: datetime) -> int:
    """Count minute by minute; all moments are whole minutes."""
    zone, count = ZoneInfo(reporting.time_zone), 0
    while begin < end:
        local = begin.astimezone(zone)
        seconds = local.hour * 3600 + local.minute * 60
        count += 60 * (local.weekday() in reporting.days and reporting.opens <= seconds < reporting.closes)
        begin += timedelta(minutes=1)
    return count


@pytest.mark.parametrize(
    "reporting",
    [DEFAULT, Reporting("Asia/Kolkata", frozenset({5, 6, 0}), 30 * 60, 23 * 3600)],
    ids=["default", "another"],
)
def test_business_seconds_are_those_counted_minute_by_minute(reporting: Reporting):
    chance = random.Random(5)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(BUSINESS_CLOCK)
        for _ in range(25):
            begin = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(30_000))
            end = begin + timedelta(minutes=chance.randrange(15_000))
            [(counted,)] = connection.execute(
                """SELECT business_clock($end AT TIME ZONE $time_zone, $opens, $closes, $days_before)
                    - business_clock($begin AT TIME ZONE $time_zone, $opens, $closes, $days_before)""",
                {"begin": begin, "end": end, **reporting.parameters()},
            ).fetchall()
            assert counted == business_seconds(reporting, begin, end)


def test_who_waits_is_told_by_the_last_word(lake: Lake):
    cases = {
        "asked": ([message("a")], ("us", MONDAY, "other@far.example")),
        "asked twice": ([message("b"), message("c", date=NINE)], ("us", MONDAY, "other@far.example")),
        "a list": ([message("d", to=["list@far.example"])], (None, None, "other@far.example")),
        "a machine": ([message("e", from_=["no-reply@far.example"])], (None, None, "no-reply@far.example")),
        "answered": ([message("f"), sent("g", date=NINE)], ("them", NINE, "other@far.example")),
        "a note": ([sent("h", to=["me@home.example"])], (None, None, None)),
        "absent": (
            [sent("i"), message("j", date=NINE, subject="Out of office")],
            ("them", MONDAY, "other@far.example"),
        ),
    }
    mail = [
        replace(each, fields={**each.fields, "thread_id": name})
        for name, (thread, _) in cases.items()
        for each in thread
    ]

    found = made(
        lake,
        *mail,
        query="SELECT thread_id, awaiting, epoch(waiting_since)::BIGINT, correspondent FROM thread_stats",
    )

    expected = {name: told for name, (_, told) in cases.items()}
    assert {name: tuple(rest) for name, *rest in found} == expected
    assert asked(lake, "SELECT thread_id FROM awaiting_us ORDER BY ALL") == [("asked",), ("asked twice",)]
    assert asked(lake, "SELECT thread_id FROM awaiting_them ORDER BY ALL") == [("absent",), ("answered",)]


def test_junk_and_drafts_take_room_and_nothing_else(lake: Lake):
    made(
        lake,
        message("junk", folders=["SPAM"], body="12345"),
        message("draft", folders=["DRAFT"], from_=["me@home.example"], body="123"),
        query="SELECT 1",
    )
    for table in ("daily_volume", "correspondents", "replies", "thread_stats"):
        assert asked(lake, f"SELECT count(*) FROM {table}") == [(0,)]
    assert asked(lake, "SELECT sender, bytes FROM storage_by_sender ORDER BY ALL") == [
        ("me@home.example", 3),
        ("other@far.example", 5),
    ]
