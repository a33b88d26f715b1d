import subprocess
import sys
import tracemalloc
from collections import Counter
from datetime import UTC, datetime
from statistics import mean, median

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.simulator import PROVIDERS, Fleet, MailboxSpec
from mail_pipeline.simulator.conversations import CONVERSATION
from mail_pipeline.simulator.fleet import CACHE_DAYS
from mail_pipeline.simulator.identifiers import IMAP_FAMILY, message_ids
from mail_pipeline.simulator.mailboxes import GeneratedMailbox, Mailbox, truth
from mail_pipeline.simulator.oddities import ODDITIES
from mail_pipeline.simulator.rhythm import DAY

DIGEST = """
import hashlib, orjson
from mail_pipeline.simulator import PROVIDERS, Fleet, MailboxSpec
from mail_pipeline.simulator.mailboxes import truth
digest = hashlib.sha256()
for mailbox in Fleet.generate(3, [MailboxSpec(provider, messages=150) for provider in PROVIDERS]):
    digest.update(orjson.dumps([mailbox.grant.record(), [f.record("", 0, 0) for f in mailbox.folders]]))
    for message in truth(mailbox):
        digest.update(orjson.dumps(message))
print(digest.hexdigest())
"""


def _mailbox(
    provider: str = "google", messages: int = 400, seed: int = 0, **options: object
) -> GeneratedMailbox:
    spec = MailboxSpec(provider, messages=messages, **options)  # type: ignore[arg-type]
    mailbox = Fleet.generate(seed, [spec]).mailbox(0)
    assert isinstance(mailbox, GeneratedMailbox)
    return mailbox


def _bytes(mailbox: Mailbox) -> list[bytes]:
    return [orjson.dumps(message) for message in truth(mailbox)]


def test_the_same_seed_gives_the_same_mail_in_every_process():
    def digest(hash_seed: str) -> str:
        command = [sys.executable, "-c", DIGEST]
        environment = {"PYTHONHASHSEED": hash_seed}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first = digest("1")
    assert len(first.strip()) == 64
    assert digest("2") == first


def test_another_seed_gives_other_mail_and_another_now():
    assert _bytes(_mailbox(seed=1)) != _bytes(_mailbox(seed=2))
    assert len({Fleet.generate(seed).now for seed in range(10)}) > 3


def test_two_mailboxes_of_a_fleet_differ():
    first, second = Fleet.generate(0, [MailboxSpec("microsoft", messages=50)] * 2)
    assert first.grant.id != second.grant.id
    assert not {m["id"] for m in truth(first)} & {m["id"] for m in truth(second)}


def test_a_message_does_not_depend_on_what_was_asked_before():
    forwards, backwards = _mailbox(messages=900), _mailbox(messages=900)
    ahead = [forwards.message(number) for number in range(900)]
    assert [backwards.message(number) for number in reversed(range(900))] == ahead[::-1]


def test_a_huge_mailbox_costs_nothing_until_a_page_is_asked_for():
    Fleet.generate(0, [MailboxSpec(messages=10)]).mailbox(0).message(0)
    tracemalloc.start()
    fleet = Fleet.generate(1, [MailboxSpec(messages=200_000)])
    assert len(fleet.mailbox(0)) == 200_000
    described, _ = tracemalloc.get_traced_memory()
    fleet.mailbox(0).message(199_999)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert described < 100_000
    assert peak < 1_500_000


@pytest.mark.parametrize("provider", [*PROVIDERS, "zimbra"])
@pytest.mark.parametrize("messages", [0, 1, 63, 700])
def test_messages_are_ordered_by_date_and_end_before_now(provider, messages):
    fleet = Fleet.generate(5, [MailboxSpec(provider, messages=messages)])
    mailbox = fleet.mailbox(0)
    dates = [mailbox.date(number) for number in range(messages)]
    assert dates == sorted(dates)
    assert all(date < fleet.now for date in dates)
    assert [mailbox.message(number)["date"] for number in range(messages)] == dates


@given(
    st.sampled_from([0, 1, 64, 65, 777, 9_000]),
    st.floats(min_value=-0.01, max_value=1.01),
    st.integers(-2, 2),
)
def test_counting_before_a_moment_agrees_with_the_dates(messages, share, nudge):
    mailbox = _mailbox(messages=messages)
    rhythm = mailbox.shape.rhythm
    moment = int(rhythm.begin + share * (rhythm.end - rhythm.begin)) + nudge
    number = mailbox.count_before(moment)
    assert number == 0 or mailbox.date(number - 1) < moment
    assert number == messages or mailbox.date(number) >= moment


@given(st.sampled_from([*PROVIDERS, "zimbra"]), st.integers(0, 2**39 - 1), st.integers(0, 5))
def test_an_id_leads_back_to_its_number_and_no_other_spelling_does(provider, number, mailbox):
    ids = message_ids(provider, 1, mailbox)
    text = ids.encode(number)
    assert ids.decode(text) == number
    for other in (text + " ", text.strip("<>") + "x", text[:-1], text.upper() + "!", "", "é", "<CA>"):
        assert ids.decode(other) is None
    swapped = text.swapcase()
    assert swapped == text or ids.decode(swapped) != number


@pytest.mark.parametrize("provider", [*PROVIDERS, "zimbra"])
def test_ids_are_unique_and_found_again(provider):
    mailbox = _mailbox(provider, messages=600)
    ids = [message["id"] for message in truth(mailbox)]
    assert len(set(ids)) == 600
    assert [mailbox.find(text) for text in ids] == list(reversed(range(600)))


def test_ids_have_each_providers_traps():
    google, second = Fleet.generate(0, [MailboxSpec("google", messages=20)] * 2)
    assert {m["id"] for m in truth(google)} == {m["id"] for m in truth(second)}
    assert all(len(m["id"]) == 16 and int(m["id"], 16) for m in truth(google))
    for provider in ("microsoft", "ews"):
        ids = [m["id"] for m in truth(_mailbox(provider, messages=20))]
        assert len({text.lower() for text in ids}) == 10
    reserved = "".join(m["id"] for m in truth(_mailbox("imap", messages=32)))
    assert set("<>/+#!&=@?% ;'") <= set(reserved)
    assert "%2F" in reserved


def test_years_grow_and_offices_sleep():
    mailbox = _mailbox(messages=4_000, years=4.0, growth=1.5)
    moments = [datetime.fromtimestamp(mailbox.date(number), UTC) for number in range(4_000)]
    begin = mailbox.shape.rhythm.begin
    years = Counter((int(moment.timestamp()) - begin) // (365 * DAY) for moment in moments)
    assert years[0] < years[1] < years[2] < years[3]
    weekend = sum(moment.weekday() >= 5 for moment in moments)
    night = sum(moment.hour < 6 for moment in moments)
    assert weekend < 0.12 * len(moments)
    assert night < 0.06 * len(moments)


def test_people_answer_within_hours_and_inside_their_thread():
    mailbox = _mailbox("imap", messages=3_000)
    sketches = [mailbox.shape.sketch(number) for number in range(3_000)]
    delays: dict[bool, list[float]] = {True: [], False: []}
    for sketch in sketches:
        if sketch.parent >= 0:
            parent = sketches[sketch.parent]
            assert (parent.thread, parent.other) == (sketch.thread, sketch.other)
            delays[sketch.sent].append((sketch.date - parent.date) / 3600)
    assert min(map(len, delays.values())) > 300
    assert 0.5 < median(delays[True]) < 4
    assert 0.5 < median(delays[False]) < 8
    replies = [number for number, sketch in enumerate(sketches) if sketch.parent >= 0]
    plain = [mailbox.message(number) for number in replies if number % 25]
    assert all(message["subject"].startswith("Re: ") for message in plain)
    assert 0.25 < mean(sketch.sent for sketch in sketches) < 0.55
    assert {sketch.kind for sketch in sketches} == {0, 1, 2}


def test_the_owner_writes_what_is_sent_and_gets_the_rest():
    mailbox = _mailbox("microsoft", messages=200, oddity_every=0)
    owner = mailbox.grant.email
    for number in range(200):
        sketch, message = mailbox.shape.sketch(number), mailbox.message(number)
        senders = [person["email"] for person in message["from"]]
        assert (senders == [owner]) == sketch.sent
        assert sketch.sent or owner in [person["email"] for person in message["to"]]


def test_correspondents_are_few_and_many_and_at_reserved_domains():
    mailbox = _mailbox(messages=1_500, oddity_every=0)
    people: Counter[str] = Counter()
    for number in range(1_500):
        message = mailbox.message(number)
        for field in ("from", "to", "cc", "bcc"):
            people.update(person["email"] for person in message[field])
    domains = {email.rpartition("@")[2] for email in people}
    assert len(domains) > 15
    assert all(domain.rpartition("example")[2] in {"", ".com", ".net", ".org"} for domain in domains)
    (_, most), *_, (_, least) = people.most_common()
    assert most > 20 * least


def test_bodies_have_the_mean_asked_for_and_a_long_tail():
    sizes = [
        len(message["body"].encode())
        for message in truth(_mailbox(messages=1_500, body_mean=6_000, oddity_every=0))
    ]
    assert 5_400 < mean(sizes) < 6_600
    assert max(sizes) > 4 * median(sizes)


def test_every_oddity_turns_up_in_every_mailbox_and_none_when_told():
    odd = {orjson.dumps(message) for message in truth(_mailbox("imap", messages=600))}
    plain = {orjson.dumps(message) for message in truth(_mailbox("imap", messages=600, oddity_every=0))}
    assert len(odd - plain) >= 600 // 25 - 1
    messages = list(truth(_mailbox("imap", messages=25 * len(ODDITIES))))
    assert any("body" not in m for m in messages)
    assert any(m.get("body") == "" for m in messages)
    assert any("\0" in m.get("body", "") for m in messages)
    assert any("from" not in m for m in messages)
    assert any(m.get("from") == [] for m in messages)
    assert any(len(m.get("from") or []) > 1 for m in messages)
    assert any(m["cc"] is None for m in messages)
    assert any(m["attachments"] is None for m in messages)
    assert any("thread_id" not in m for m in messages)
    assert any("subject" not in m for m in messages)
    assert any("importance" in m for m in messages)
    assert any(person["email"] == "" for m in messages for person in m["to"] or [])
    regular = list(truth(_mailbox("imap", messages=600, oddity_every=0)))
    assert all(m["body"] and m["from"] and m["subject"] for m in regular)


def test_labels_folders_and_paths_are_each_providers_own():
    google = _mailbox("google", messages=500)
    assert {"INBOX", "SENT", "UNREAD", "STARRED", "CATEGORY_PROMOTIONS", "Label_1"} <= {
        f.id for f in google.folders
    }
    assert max(len(google.folders_of(number)) for number in range(500)) >= 4
    microsoft = _mailbox("microsoft", messages=500)
    assert {len(microsoft.folders_of(number)) for number in range(500)} == {1}
    children = Counter(folder.parent_id for folder in microsoft.folders)
    assert all(folder.child_count == children[folder.id] for folder in microsoft.folders)
    assert any(folder.child_count for folder in microsoft.folders)
    imap = _mailbox("imap", messages=500, user_folders=9)
    names = {folder.id for folder in imap.folders}
    assert {
        "[Gmail]/All Mail",
        "INBOX.Arbeit & Büro",
        "a/b",
        'He said "hi", twice',
        "Sales 2024",
        "sales-2024",
    } <= names
    assert any(len(imap.folders_of(number)) == 2 for number in range(500))
    filled = {folder for number in range(500) for folder in imap.folders_of(number)}
    assert filled < names


@pytest.mark.parametrize("provider", [*PROVIDERS, "zimbra"])
def test_messages_are_filed_only_in_listed_folders(provider):
    mailbox = _mailbox(provider, messages=400, user_folders=3)
    listed = {folder.id for folder in mailbox.folders}
    assert len(listed) == len(mailbox.folders)
    for message in truth(mailbox):
        assert message["folders"]
        assert set(message["folders"]) <= listed
        assert len(set(message["folders"])) == len(message["folders"])


def test_flags_agree_with_googles_labels():
    for message in truth(_mailbox("google", messages=500, oddity_every=0)):
        assert message["unread"] == ("UNREAD" in message["folders"])
        assert message["starred"] == ("STARRED" in message["folders"])


def test_counts_are_those_of_the_messages_and_absent_at_yahoo():
    imap, yahoo = _mailbox("imap"), _mailbox("yahoo")
    messages = list(truth(imap))
    expected = {
        folder.id: (
            sum(folder.id in m["folders"] for m in messages),
            sum(folder.id in m["folders"] and m["unread"] for m in messages),
        )
        for folder in imap.folders
    }
    assert imap.counts() == expected
    assert yahoo.counts() is None


def test_mail_in_no_folder_is_recent_and_only_where_asked_for():
    fleet = Fleet.generate(0, [MailboxSpec("imap", messages=800, plain_only=0.5)])
    stray = [message["date"] for message in truth(fleet.mailbox(0)) if not message["folders"]]
    assert len(stray) > 10
    assert min(stray) >= fleet.now - CACHE_DAYS * DAY
    assert all(message["folders"] for message in truth(_mailbox("microsoft", plain_only=0.5)))


def test_attachments_look_like_each_providers():
    google = [a for m in truth(_mailbox("google", 2_000, oddity_every=0)) for a in m["attachments"]]
    assert len({a["filename"].rpartition(".")[2] for a in google}) >= 6
    assert any(not a["filename"].isascii() and a["content_type"] == "" for a in google)
    assert any(a["is_inline"] and a["content_id"].startswith("<") for a in google)
    graph = [a for m in truth(_mailbox("microsoft", 400, oddity_every=0)) for a in m["attachments"]]
    assert graph
    assert all("content_disposition" not in a for a in graph)


def test_the_demo_has_one_mailbox_of_each_provider_and_takes_half_a_minute():
    fleet = Fleet.demo()
    assert [mailbox.grant.provider for mailbox in fleet] == list(PROVIDERS)
    google = len(fleet.mailbox(0))
    assert google * 5 + 20 <= 150 * 30
    for mailbox in fleet:
        folders = len(mailbox.folders) + 1 if mailbox.grant.provider in IMAP_FAMILY else 1
        pages = len(mailbox) / (50 if mailbox.grant.provider == "ews" else 200) + folders
        assert pages * 0.2 < 15


def test_a_grant_is_found_by_id_and_by_address():
    fleet = Fleet.generate(0, [MailboxSpec(), MailboxSpec("imap", email="owner@fern.example")])
    second = fleet.mailbox(1)
    assert fleet.find(second.grant.id) is second
    assert fleet.find("owner@fern.example") is second
    assert fleet.find("nobody@fern.example") is None
    assert second.message(0)["grant_id"] == second.grant.id


def test_conversations_outnumber_bulk_mail():
    mailbox = _mailbox(messages=1_000)
    kinds = Counter(mailbox.shape.sketch(number).kind for number in range(1_000))
    assert kinds[CONVERSATION] > 500
