import duckdb
import orjson
import pytest
import requests

import mail_pipeline
from benchmarks import commit_growth, directory, landing
from benchmarks.mail import Mailbox, letters
from benchmarks.processes import run, serving
from mail_pipeline.lake.connection import open_duckdb
from mail_pipeline.sync.rows import ROLES
from mail_pipeline_tests.benchmarks.whole import whole

MESSAGES = 500
AT_ONCE = {"MAIL_PIPELINE_MIN_PAGE_INTERVAL": "0"}


@pytest.fixture(scope="module")
def one_mailbox():
    with serving(mailboxes=1, messages=MESSAGES) as address:
        yield address


@pytest.fixture(scope="module")
def four_mailboxes():
    with serving(mailboxes=4, messages=MESSAGES) as address:
        yield address


def served(address):
    """Return every message, read by the plainest loop there is."""
    found = []
    for grant in requests.get(f"{address}/v3/grants", timeout=30).json()["data"]:
        parameters = {"limit": 150}
        while True:
            page = requests.get(f"{address}/v3/grants/{grant['id']}/messages", parameters, timeout=30).json()
            found += page["data"]
            if "next_cursor" not in page:
                break
            parameters["page_token"] = page["next_cursor"]
    return found


def served_ids(address):
    """Return (grant, id) of every message."""
    return [(message["grant_id"], message["id"]) for message in served(address)]


def test_the_server_serves_each_message_once_whatever_the_mailboxes(one_mailbox, four_mailboxes):
    for address, mailboxes in ((one_mailbox, 1), (four_mailboxes, 4)):
        ids = served_ids(address)
        assert len(ids) == len(set(ids)) == MESSAGES
        assert len({grant for grant, _ in ids}) == mailboxes


def test_no_two_bodies_of_a_mailbox_are_equal_though_the_pool_is_small():
    mailbox = Mailbox(0, 60, letters(20))
    messages = orjson.loads(mailbox.page(0, 60))
    assert len({message["body"] for message in messages}) == 60


def test_bodies_have_the_sizes_the_figures_are_for():
    messages = orjson.loads(Mailbox(0, 400, letters(400)).page(0, 400))
    sizes = sorted(len(message["body"].encode()) for message in messages)
    assert 2_000 <= sizes[0] < sizes[-1] <= 62_000
    assert 8_000 < sum(sizes) / len(sizes) < 11_000


def test_the_floor_reads_every_page(one_mailbox):
    assert run("benchmarks.floor", one_mailbox).answer == {"pages": 3}


def test_the_recipe_stores_every_message_and_its_last_cursor(one_mailbox, tmp_path):
    assert run("benchmarks.recipe", one_mailbox, str(tmp_path)).answer == {"messages": MESSAGES}
    with duckdb.connect(tmp_path / "mail.duckdb", read_only=True) as connection:
        stored = connection.execute("SELECT grant_id, id FROM messages").fetchall()
        assert sorted(stored) == sorted(served_ids(one_mailbox))
        assert connection.execute("SELECT cursor FROM cursors").fetchall() == [(None,)]


def test_the_bare_lake_stores_every_message_with_its_body_and_people(one_mailbox, tmp_path):
    messages = served(one_mailbox)
    assert run("benchmarks.bare_lake", one_mailbox, str(tmp_path)).answer == {"messages": MESSAGES}
    with open_duckdb() as connection:
        connection.execute(f"ATTACH 'ducklake:sqlite:{tmp_path / 'catalog.sqlite'}' AS lake (READ_ONLY)")
        bodies = connection.execute("SELECT id, body FROM lake.bodies").fetchall()
        assert sorted(bodies) == sorted((each["id"], each["body"]) for each in messages)
        people = connection.execute("SELECT count(*) FROM lake.participants").fetchone()
        assert people == (sum(len(each[role]) for each in messages for role in ROLES),)
        assert connection.execute("SELECT cursor FROM lake.cursors").fetchall() == [(None,)]


@whole
@pytest.mark.parametrize("mailboxes", ["one_mailbox", "four_mailboxes"])
def test_the_engine_stores_every_message_with_its_body(mailboxes, request, tmp_path):
    address = request.getfixturevalue(mailboxes)
    answer = run("benchmarks.engine", address, str(tmp_path), environment=AT_ONCE).answer
    assert answer == {"messages": MESSAGES}
    served = sorted(served_ids(address))
    with mail_pipeline.connect(tmp_path) as connection:
        for table in ("messages", "message_bodies"):
            stored = connection.execute(f"SELECT grant_id, id FROM {table}").fetchall()
            assert sorted(stored) == served


@whole
def test_landing_compares_all_cases_in_one_run(tmp_path):
    figures = landing.measure(MESSAGES, 1, tmp_path)
    assert [each.case for each in figures] == list(landing.CASES)
    ratios = {
        each.case: (each.cpu_over_floor, each.rate_over_bare_lake, each.rate_over_recipe) for each in figures
    }
    assert ratios["floor"][0] == ratios["bare lake"][1] == ratios["recipe"][2] == 1
    assert len(landing.table(figures).splitlines()) == 2 + len(figures)
    assert list(tmp_path.iterdir()) == []


@whole
def test_commit_growth_compares_an_empty_lake_with_a_full_one(tmp_path):
    figures = commit_growth.measure(1_000, 3, tmp_path)
    assert [(each.lake, each.page) for each in figures] == [
        ("empty", "new"),
        ("empty", "known"),
        ("1,000 messages", "new"),
        ("1,000 messages", "known"),
    ]
    assert all(0 < each.p50 <= each.p95 for each in figures)
    assert [each.p50_ratio for each in figures[:2]] == [1, 1]
    assert list(tmp_path.iterdir()) == []


@whole
def test_directory_mirrors_contacts_and_events_of_many_calendars_exactly(tmp_path):
    figures = directory.measure(200, 200, 6, tmp_path)
    assert [(each.stream, each.provider, each.exact) for each in figures] == [
        (stream, provider, True) for stream in ("contacts", "events") for provider in ("google", "microsoft")
    ]
    assert all(each.records for each in figures)
    assert len(directory.table(figures).splitlines()) == 2 + len(figures)
