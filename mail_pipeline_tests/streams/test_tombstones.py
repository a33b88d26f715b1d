"""What is gone is hidden once two signs say so, and what is back is shown again."""

from pathlib import Path

import pytest

from mail_pipeline.lake import queries
from mail_pipeline.lake.writer import Lake
from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline.sync.planning import NO_TABLE
from mail_pipeline_tests.backfill.conftest import Serve
from mail_pipeline_tests.backfill.door import Door
from mail_pipeline_tests.backfill.world import World
from mail_pipeline_tests.live.envelopes import (
    GRANT,
    NOW,
    apply_offline,
    ask,
    envelope,
    know,
    land,
    outcomes,
)
from mail_pipeline_tests.streams.mirroring import assert_mirrored, mirror_all, stored

STREAMS = ("contacts", "calendars", "events")


class Mirrored:
    """A world of one grant whose streams are mirrored, and some of whose records to change."""

    def __init__(self, world: World, door: Door) -> None:
        self.world, self.door = world, door
        self.grant_id = world.simulator.fleet.mailbox(0).grant.id
        self.provider = world.simulator.provider
        truth = world.simulator.truth
        self.contact = next(iter(truth(self.grant_id, "contacts")))["id"]
        calendars = [each for each in truth(self.grant_id, "calendars") if not each["read_only"]]
        self.calendar = next(each["id"] for each in calendars if not each["is_primary"])
        self.event = next(
            each["id"] for each in truth(self.grant_id, "events") if each["calendar_id"] == self.calendar
        )

    def again(self, *streams: str, **options: object) -> dict[str, str]:
        """Let time pass, list everything anew, and return how it ended."""
        self.world.simulator.clock.advance(5)
        ended = mirror_all(self.world, *(streams or STREAMS), full_resync=True, **options)
        return {stream: word.state for (stream, _), word in ended.items()}

    def gone(self, stream: str) -> set[str]:
        return {key for (key,) in self.world.ask(f"SELECT id FROM all_{stream} WHERE deleted_at IS NOT NULL")}


@pytest.fixture
def mirrored(serve: Serve) -> Mirrored:
    specs = [MailboxSpec("microsoft", messages=1, contacts=12, calendars=3, events=24, years=1)]
    simulator = Simulator(Fleet.generate(3, specs), limits=Limits.off(), irregular=0.0)
    door = Door(simulator)
    world = serve(simulator)
    world.register()
    mirror_all(world, *STREAMS)
    return Mirrored(world, door)


def test_what_a_full_pass_does_not_show_is_asked_for_and_gone_only_if_it_is_not_found(
    mirrored: Mirrored,
) -> None:
    provider, grant_id = mirrored.provider, mirrored.grant_id
    kept = {stream: min(key[-1] for key in stored(mirrored.world, stream)) for stream in STREAMS}

    def leave_out(answer: dict[str, object]) -> None:
        records = answer["data"]
        assert isinstance(records, list)
        records[:] = [each for each in records if each["id"] not in kept.values()]

    mirrored.door.edit(lambda asked: asked.operation in {*STREAMS, "events_import"}, leave_out)
    last = [each["id"] for each in mirrored.world.simulator.truth(grant_id, "contacts")][-1]
    provider.delete_contact(grant_id, last)
    assert set(mirrored.again().values()) == {"complete"}
    # What was left out of the lists is there when it is asked for by itself.
    assert mirrored.gone("contacts") == {last}
    assert mirrored.gone("calendars") == mirrored.gone("events") == set()
    assert_mirrored(mirrored.world, *STREAMS)
    assert mirrored.world.ask("SELECT count(*) FROM fetches") == [(0,)]


def test_an_interrupted_pass_takes_nothing_away(mirrored: Mirrored) -> None:
    provider, grant_id = mirrored.provider, mirrored.grant_id
    provider.delete_contact(grant_id, mirrored.contact)
    provider.delete_event(grant_id, mirrored.calendar, mirrored.event)
    ended = mirrored.again("contacts", "events", max_pages=1, page_size=3)
    assert set(ended.values()) == {"listing"}
    assert mirrored.gone("contacts") == mirrored.gone("events") == set()
    ended = {stream: word.state for (stream, _), word in mirror_all(mirrored.world, *STREAMS).items()}
    assert set(ended.values()) == {"complete"}
    assert mirrored.gone("contacts") == {mirrored.contact}
    assert mirrored.event in mirrored.gone("events")
    assert_mirrored(mirrored.world, *STREAMS)


def test_what_comes_back_is_shown_again(mirrored: Mirrored) -> None:
    provider, grant_id = mirrored.provider, mirrored.grant_id
    provider.delete_contact(grant_id, mirrored.contact)
    provider.delete_event(grant_id, mirrored.calendar, mirrored.event)
    mirrored.again()
    assert_mirrored(mirrored.world, *STREAMS)
    provider.restore_contact(grant_id, mirrored.contact)
    provider.restore_event(grant_id, mirrored.calendar, mirrored.event)
    mirrored.again()
    assert mirrored.contact not in mirrored.gone("contacts")
    assert mirrored.event not in mirrored.gone("events")
    assert_mirrored(mirrored.world, *STREAMS)


def test_a_gone_calendar_hides_its_events_and_its_return_shows_them_and_what_was_made_meanwhile(
    mirrored: Mirrored,
) -> None:
    world, grant_id, calendar = mirrored.world, mirrored.grant_id, mirrored.calendar
    before = stored(world, "events")
    own = {key for key in before if key[1] == calendar}
    assert own
    world.simulator.clock.advance(5)
    world.simulator.vanish(grant_id, calendar)
    # Without asking for more than what is new: its calendars are listed before its events each time.
    assert mirror_all(world, "events")["events", grant_id].state == "complete"
    assert mirrored.gone("calendars") == {calendar}
    assert stored(world, "events").keys() == before.keys() - own
    assert mirrored.gone("events") == set()
    scopes = world.ask("SELECT scope FROM stream_ledger WHERE stream = 'events'")
    assert (calendar,) not in scopes

    world.simulator.clock.advance(5)
    world.simulator.restore(grant_id, calendar)
    made = mirrored.provider.create_event(grant_id, calendar)
    assert mirror_all(world, "events")["events", grant_id].state == "complete"
    assert stored(world, "events").keys() == before.keys() | {(grant_id, calendar, made)}
    assert_mirrored(world, *STREAMS)


CONTACT = {"id": "c1", "source": "address_book", "given_name": "Ann", "emails": [{"email": "a@oak.example"}]}
EVENT = {"id": "e1", "calendar_id": "k1", "title": "Lunch", "when": {"date": "2026-05-01"}}


def test_what_an_older_version_kept_for_want_of_a_table_is_applied_by_itself(data: Path) -> None:
    know(data, GRANT)
    changes = [
        envelope("contact.updated", NOW, CONTACT),
        envelope("calendar.created", NOW, id="k1", name="Work"),
        envelope("event.created", NOW, EVENT),
        envelope("event.deleted", NOW + 1, id="e2", calendar_id="k1"),
    ]
    land(data, changes)
    apply_offline(data)
    with Lake(data) as lake:
        # As it was left by a version without these tables.
        with lake.transaction() as transaction:
            for table in ("all_contacts", "contact_emails", "all_calendars", "all_events", "fetches"):
                transaction.change(table, f"DELETE FROM {table}")
            transaction.change(
                "notifications", "UPDATE notifications SET outcome = 'kept', reason = ?", [NO_TABLE]
            )
        assert len(list(lake.column(queries.KEPT_FOR_A_TABLE, [NO_TABLE]))) == len(changes)

    report = apply_offline(data)
    assert report.count("applied") == len(changes)
    assert outcomes(data) == [("applied", None)] * len(changes)
    assert ask(data, "SELECT display_name FROM contacts") == [("Ann",)]
    assert ask(data, "SELECT address FROM contact_emails") == [("a@oak.example",)]
    assert ask(data, "SELECT e.title, c.name FROM events e JOIN calendars c ON c.id = e.calendar_id") == [
        ("Lunch", "Work")
    ]
    assert ask(data, "SELECT id FROM all_events WHERE deleted_at IS NOT NULL") == [("e2",)]
    # And once only.
    assert apply_offline(data).count("applied") == 0
