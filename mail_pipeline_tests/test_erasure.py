"""A grant that is forgotten is nowhere under the data folder, and nothing of the others is missing."""

import gzip
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import mail_pipeline
from mail_pipeline.erasure import forget_grant
from mail_pipeline.errors import RetryLater, StopRun
from mail_pipeline.inbox.landing import Delivery, Landing
from mail_pipeline.lake.schema import STORED
from mail_pipeline.lake.writer import Lake
from mail_pipeline.marts import texts
from mail_pipeline.marts.refresh import refresh_marts
from mail_pipeline.marts.texts import refresh_texts
from mail_pipeline.search.refresh import refresh
from mail_pipeline.settings import Settings
from mail_pipeline.sync.apply import LEASE, Replay
from mail_pipeline.sync.attachments import fetch_attachments
from mail_pipeline.sync.leases import Leases
from mail_pipeline_tests.subset.mirrored import GOOGLE, MICROSOFT, Mirrored, mirrored
from mail_pipeline_tests.subset.secrets import directory, leaks, live, needles

PLANTED = {"zebrafish", "Zebrafish"}
"""Words that stand in mail of both accounts."""


def filled(found: Mirrored) -> str:
    """Mirror two accounts with all there is of them, delete one at the provider and return its id."""
    found.mirror()
    directory(found)
    live(found)
    data = found.world.data
    list(fetch_attachments(found.world.settings()))
    refresh_marts(data)
    refresh_texts(data)
    refresh(data)
    return found.names["google"]


def of(found: Mirrored, grant: str) -> set[str]:
    """Return the texts that stand in this account alone."""
    [other] = set(found.names.values()) - {grant}
    world = found.world.simulator
    elsewhere = json.dumps(
        [list(world.truth(other, stream)) for stream in ("messages", "contacts", "events")],
        ensure_ascii=False,
    )
    return {each for each in needles(found, [grant]) if each not in elsewhere} | {grant}


def test_nothing_of_a_forgotten_grant_is_found_and_the_other_is_whole(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", GOOGLE, MICROSOFT) as found:
        grant = filled(found)
        secrets = of(found, grant)
        other = {key: mail for key, mail in found.world.stored().items() if key[0] != grant}
        assert len(secrets) > 20
        assert {text for _, text in leaks(found, secrets)} == secrets
        found.world.simulator.provider.disconnect(grant)
        found.world.settle()

        report = forget_grant(found.world.settings(), grant)
        found.world.close()

        assert report.messages > 8
        assert report.notifications > 3
        # Only that it once had the lease.
        assert {place for place, text in leaks(found, secrets)} <= {"state.sqlite", "state.sqlite-wal"}
        assert leaks(found, secrets - {grant}) == set()
        assert found.world.stored() == other
        assert found.world.orphans() == {}
        applied = found.world.ask("SELECT max(number), count(*) FROM notifications")
        with found.world.landing() as landing:
            assert applied == [(landing.newest(), landing.count())]


def test_forgetting_again_finds_nothing_and_fails_nothing(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", GOOGLE, MICROSOFT) as found:
        grant = filled(found)
        found.world.simulator.provider.disconnect(grant)
        forget_grant(found.world.settings(), grant)
        before = found.world.contents()

        report = forget_grant(found.world.settings(), grant)

        assert (report.messages, report.files, report.notifications) == (0, 0, 0)
        assert found.world.contents() == before


def test_a_grant_that_is_still_connected_is_refused_and_keeps_all(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", GOOGLE, MICROSOFT) as found:
        found.mirror()
        grant = found.names["google"]
        before = found.world.contents()
        without_key = replace(found.world.settings(), api_key="")

        for settings in (found.world.settings(), without_key):
            with pytest.raises(StopRun, match="is still connected") as refused:
                forget_grant(settings, grant)
            assert "Delete it at Nylas first" in refused.value.next_step
        assert found.world.contents() == before


@pytest.mark.parametrize("lease", ["GRANT", "GRANT@directory", LEASE])
def test_a_grant_that_is_at_work_is_left_alone(tmp_path: Path, lease: str) -> None:
    with mirrored(tmp_path, "", GOOGLE) as found:
        found.mirror()
        grant = found.names["google"]
        found.world.simulator.provider.disconnect(grant)
        before = found.world.contents()
        leases = Leases(found.world.data)
        with (
            Lake(found.world.data) as lake,
            leases.held(lake, grant, [lease.replace("GRANT", grant)]),
            pytest.raises(RetryLater, match="Another worker is at work"),
        ):
            forget_grant(found.world.settings(), grant)
        leases.close()

        assert found.world.contents() == before


def test_a_word_that_is_no_grant_takes_nothing_with_it(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", GOOGLE) as found:
        found.mirror()
        live(found)
        before = found.world.contents()

        for grant in (found.names["google"][:8], "", "INBOX", "%"):
            report = forget_grant(found.world.settings(), grant)
            assert (report.messages, report.notifications) == (0, 0)

        assert found.world.contents() == before
        with found.world.landing() as landing:
            assert all(b"left_out" not in each.body for each in landing.after(0, limit=100, max_bytes=10**9))


def test_what_comes_of_a_forgotten_grant_later_is_forgotten_with_another_call(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", GOOGLE, MICROSOFT) as found:
        grant = filled(found)
        secrets = of(found, grant) - {grant}
        found.world.simulator.provider.disconnect(grant)
        found.world.settle()
        with found.world.landing() as landing:
            late = landing.after(0, limit=1_000, max_bytes=10**9)
        forget_grant(found.world.settings(), grant)
        with found.world.landing() as landing:
            landing.store(late)
        found.world.apply()
        found.world.close()
        assert leaks(found, secrets) != set()

        report = forget_grant(found.world.settings(), grant)
        found.world.close()

        assert report.notifications > 0
        assert leaks(found, secrets) == set()


def test_an_account_that_expired_before_it_went_leaves_no_gap_for_the_others(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", GOOGLE, MICROSOFT) as found:
        grant = filled(found)
        found.world.simulator.provider.expire(grant)
        found.world.settle()
        found.world.simulator.clock.advance(80 * 3600)
        found.world.simulator.provider.disconnect(grant)
        found.world.settle()

        forget_grant(found.world.settings(), grant)
        found.world.watch()

        assert [gap for gap in found.world.gaps() if gap[0] == "grant expired"] == []


def test_what_was_at_work_meanwhile_is_found_by_another_call(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", GOOGLE, MICROSOFT) as found:
        grant = filled(found)
        found.world.simulator.provider.disconnect(grant)
        found.world.settle()
        with Lake(found.world.data) as lake:
            text = lake.table("FROM message_texts").filter(pc.field("grant_id") == grant).slice(0, 1)
        forget_grant(found.world.settings(), grant)
        with Lake(found.world.data) as lake, lake.transaction() as transaction:
            transaction.append("message_texts", text)

        assert forget_grant(found.world.settings(), grant).known

        with mail_pipeline.connect(found.world.data) as connection:
            left = connection.execute("SELECT count(*) FROM message_texts WHERE grant_id = ?", [grant])
            assert left.fetchall() == [(0,)]


def test_texts_that_were_being_made_of_a_forgotten_grants_mail_are_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirrored(tmp_path, "", GOOGLE, MICROSOFT) as found:
        found.mirror()
        grant = found.names["google"]
        found.world.simulator.provider.disconnect(grant)
        settings = found.world.settings()

        def forgotten_meanwhile(bodies: pa.Table) -> pa.Table:
            made = make(bodies)
            forget_grant(settings, grant)
            return made

        make = texts._texts
        monkeypatch.setattr(texts, "_texts", forgotten_meanwhile)
        refresh_texts(found.world.data)

        assert found.world.ask("SELECT count(*) FROM message_texts WHERE grant_id = ?", [grant]) == [(0,)]
        assert found.world.ask("SELECT count(*) > 0 FROM message_texts") == [(True,)]


def test_a_call_that_was_cut_off_before_the_landing_table_was_compacted_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirrored(tmp_path, "", GOOGLE, MICROSOFT) as found:
        grant = filled(found)
        secrets = of(found, grant) - {grant}
        found.world.simulator.provider.disconnect(grant)
        found.world.settle()
        settings = found.world.settings()
        with monkeypatch.context() as cut:
            cut.setattr(Landing, "_compact", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                forget_grant(settings, grant)
        # A receiver has it open, so closing does not fold the log in.
        with found.world.landing() as receiver:
            receiver.count()
            forget_grant(settings, grant)
            assert leaks(found, secrets) == set()


def test_where_the_landing_table_is_read_meanwhile_nothing_is_called_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mail_pipeline.inbox.databases._BUSY_SECONDS", 0.1)
    with mirrored(tmp_path, "", GOOGLE, MICROSOFT) as found:
        grant = filled(found)
        found.world.simulator.provider.disconnect(grant)
        found.world.settle()
        with closing(sqlite3.connect(found.world.data / "inbox.sqlite")) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM notifications").fetchall()
            with pytest.raises(RetryLater):
                forget_grant(found.world.settings(), grant)
        assert forget_grant(found.world.settings(), grant).known


def test_what_landed_of_a_forgotten_grant_is_no_dead_letter_whenever_it_is_applied(tmp_path: Path) -> None:
    with mirrored(tmp_path, "", GOOGLE, MICROSOFT) as found:
        grant = filled(found)
        found.world.simulator.provider.disconnect(grant)
        found.world.settle()
        with found.world.landing() as landing:
            packed = b'{"type":"message.created","data":{"object":{"grant_id":"%b"' % grant.encode()
            landing.store([Delivery(1.0, {"content-encoding": "gzip"}, gzip.compress(packed))])
        found.world.apply()
        with found.world.landing() as landing:
            landing.store([Delivery(1.0, {}, packed)])
        assert found.world.ask("SELECT count(*) > 0 FROM dead_letters") == [(True,)]

        forget_grant(found.world.settings(), grant)
        for replay in (None, Replay(), Replay(everything=True)):
            found.world.apply(replay=replay)

        assert found.world.ask("SELECT count(*) FROM dead_letters") == [(0,)]
        outcomes = "SELECT count(*) FROM notifications WHERE grant_id IS NULL AND outcome = 'dead'"
        assert found.world.ask(outcomes) == [(0,)]


def test_every_table_that_names_a_grant_forgets_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    tables = [table for table in STORED if "grant_id" in table.column_names]
    with Lake(tmp_path) as lake, lake.transaction() as transaction:
        for table in tables:
            transaction.change(table.name, f"INSERT INTO {table.name} (grant_id) VALUES ('gone'), ('stays')")

    forget_grant(settings, "gone")

    with mail_pipeline.connect(tmp_path) as connection:
        for table in tables:
            grants = [
                grant for (grant,) in connection.execute(f"SELECT grant_id FROM {table.name}").fetchall()
            ]
            assert "gone" not in grants, table.name
            assert grants.count("stays") == 1, table.name
