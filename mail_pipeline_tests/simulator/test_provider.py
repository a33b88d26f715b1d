"""What happens at the providers is in every answer at once, and told as each provider tells it."""

import pytest

from mail_pipeline.simulator import PROVIDERS, Fleet, Limits, MailboxSpec, SimulatedClock, Simulator
from mail_pipeline.simulator.fleet import CACHE_DAYS
from mail_pipeline.simulator.identifiers import IMAP_FAMILY
from mail_pipeline.simulator.rhythm import DAY
from mail_pipeline_tests.simulator.receiver import Receiver

ONE_PASS = ("google", "microsoft", "ews")
HOUR = 3_600


class Scene:
    """One grant, a served simulator and a webhook with all triggers of a mirror."""

    def __init__(self, serve, receiver: Receiver, kind: str, **spec) -> None:
        fleet = Fleet.generate(0, [MailboxSpec(kind, **{"messages": 60, "oddity_every": 0, **spec})])
        self.simulator = Simulator(fleet, limits=Limits.off(), clock=SimulatedClock(float(fleet.now)))
        self.api = serve(self.simulator).api
        self.grant_id = fleet.mailbox(0).grant.id
        self.provider, self.receiver = self.simulator.provider, receiver
        receiver.subscribe(self.simulator)

    def truth(self):
        return {record["id"]: record for record in self.simulator.truth(self.grant_id)}

    def folder(self, role: str) -> str:
        return next(f.id for f in self.simulator.true_folders(self.grant_id) if f.role == role)

    def get(self, message_id: str):
        return self.api.message(self.grant_id, message_id)

    def told(self):
        """Deliver, and return (type, object) of all that came."""
        self.simulator.postman.deliver()
        return [(one.type, one.object) for one in self.receiver.take()]


@pytest.fixture
def scene(serve, receiver):
    return lambda kind, **spec: Scene(serve, receiver, kind, **spec)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_new_mail_is_listed_found_counted_and_told_of_in_full(scene, kind):
    s = scene(kind)
    counts = {folder["id"]: folder.get("total_count") for folder in s.api.all(s.grant_id, "folders")}
    message_id = s.provider.arrive(
        s.grant_id,
        subject="Lunch?",
        body="<p>At noon.</p>",
        bcc=[{"email": "b@x.example"}],
        reply_to=[],
        attachments=2,
    )
    record = s.truth()[message_id]

    assert (record["subject"], record["body"]) == ("Lunch?", "<p>At noon.</p>")
    assert record["snippet"] == "At noon."
    assert record["date"] == s.simulator.clock.now()
    assert (record["bcc"], record["reply_to"], len(record["attachments"])) == (
        [{"email": "b@x.example"}],
        [],
        2,
    )
    assert s.get(message_id).json()["data"] == record
    assert s.api.all(s.grant_id, limit=200)[0] == record
    inbox = s.folder("inbox")
    after = {folder["id"]: folder.get("total_count") for folder in s.api.all(s.grant_id, "folders")}
    assert inbox in record["folders"]
    assert after[inbox] == (None if kind == "yahoo" else counts[inbox] + 1)
    assert s.told() == [("message.created", record)]


@pytest.mark.parametrize("kind", PROVIDERS)
def test_ids_of_new_mail_are_in_the_providers_style_and_its_own(scene, kind):
    s = scene(kind)
    old = next(iter(s.truth()))
    new = [s.provider.arrive(s.grant_id) for _ in range(20)]

    assert len(set(new)) == 20
    assert abs(len(new[0]) - len(old)) < 20
    assert new[0][:2] == old[:2]
    for message_id in new:
        assert s.get(message_id).json()["data"]["id"] == message_id


def test_mail_can_arrive_late_large_read_and_as_an_answer(scene):
    s = scene("microsoft")
    first = next(iter(s.truth().values()))
    date = first["date"] - 40 * DAY
    message_id = s.provider.arrive(
        s.grant_id, date=date, size=50_000, unread=False, starred=True, answers=first["id"]
    )
    record = s.truth()[message_id]

    assert (record["date"], len(record["body"].encode())) == (date, 50_000)
    assert (record["unread"], record["starred"]) == (False, True)
    assert record["thread_id"] == first["thread_id"]
    assert record["subject"].removeprefix("Re: ") == first["subject"].removeprefix("Re: ")
    dates = [message["date"] for message in s.api.all(s.grant_id, limit=200)]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_flags_are_told_of_partially_and_only_when_they_change(scene, kind):
    s = scene(kind)
    message_id = s.provider.arrive(s.grant_id, unread=True)
    s.told()
    s.provider.flag(s.grant_id, message_id, unread=True)
    assert s.told() == []
    s.provider.flag(s.grant_id, message_id, unread=False)
    s.provider.flag(s.grant_id, message_id, starred=True)
    record = s.truth()[message_id]

    assert (record["unread"], record["starred"]) == (False, True)
    if kind == "google":
        assert "STARRED" in record["folders"]
        assert "UNREAD" not in record["folders"]
    (first, once), (second, twice) = s.told()
    assert (first, second) == ("message.updated", "message.updated")
    assert (once["unread"], once["starred"], twice["starred"]) == (False, False, True)
    assert not {"attachments", "bcc", "reply_to"} & set(twice)
    assert twice == {key: record[key] for key in twice}


def test_updates_differ_by_provider_only_in_what_a_get_mends_or_never_changes(scene):
    missing = {}
    for kind in PROVIDERS:
        s = scene(kind)
        message_id = s.provider.arrive(s.grant_id)
        s.told()
        s.provider.edit(s.grant_id, message_id, subject="Other", body="<p>Words</p>")
        [(_, told)] = s.told()
        missing[kind] = {"thread_id", "subject", "body", "snippet", "folders"} - set(told)

    assert missing == {
        "google": set(),
        "microsoft": set(),
        "ews": {"body", "snippet"},
        "imap": {"thread_id"},
        "yahoo": {"thread_id"},
        "icloud": {"thread_id"},
    }


@pytest.mark.parametrize("kind", [kind for kind in PROVIDERS if kind != "ews"])
def test_a_move_keeps_the_id(scene, kind):
    s = scene(kind)
    message_id = s.provider.arrive(s.grant_id, unread=True)
    s.told()
    target = s.folder("user")

    assert s.provider.move(s.grant_id, message_id, [target]) == message_id
    record = s.truth()[message_id]
    assert record["folders"] == (["UNREAD", target] if kind == "google" else [target])
    [(kind_of, told)] = s.told()
    assert (kind_of, told["folders"]) == ("message.updated", record["folders"])
    assert s.provider.move(s.grant_id, message_id, [target]) == message_id
    assert s.told() == []


def test_a_move_at_ews_gives_another_id(scene):
    s = scene("ews")
    old = next(iter(s.truth()))
    target = next(
        place for place in (s.folder("user"), s.folder("inbox")) if place not in s.truth()[old]["folders"]
    )
    new = s.provider.move(s.grant_id, old, [target])

    assert new != old
    assert s.get(old).status_code == 404
    assert s.get(new).json()["data"]["folders"] == [target]
    record = s.truth()[new]
    assert s.told() == [
        ("message.deleted", {"id": old, "grant_id": s.grant_id, "object": "message"}),
        ("message.created", record),
    ]
    with pytest.raises(KeyError):
        s.provider.flag(s.grant_id, old, unread=True)
    assert s.provider.flag(s.grant_id, new, starred=not record["starred"]) == new


@pytest.mark.parametrize("kind", PROVIDERS)
def test_what_is_deleted_is_gone_and_what_is_restored_is_as_it_was(scene, kind):
    s = scene(kind)
    message_id = s.provider.arrive(s.grant_id, unread=True)
    s.provider.edit(s.grant_id, message_id, subject="Twice read")
    record = s.truth()[message_id]
    s.told()
    s.provider.delete(s.grant_id, message_id)

    assert s.get(message_id).status_code == 404
    assert message_id not in {message["id"] for message in s.api.all(s.grant_id, limit=200)}
    assert s.told() == [("message.deleted", {"id": message_id, "grant_id": s.grant_id, "object": "message"})]
    with pytest.raises(KeyError):
        s.provider.delete(s.grant_id, message_id)
    s.provider.restore(s.grant_id, message_id)
    assert s.get(message_id).json()["data"] == record
    assert s.told() == [("message.created", record)]
    with pytest.raises(KeyError):
        s.provider.restore(s.grant_id, message_id)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_only_the_imap_familys_old_mail_changes_in_silence(scene, kind):
    s = scene(kind, messages=200)
    horizon = s.simulator.clock.now() - CACHE_DAYS * DAY
    old = next(record for record in s.truth().values() if record["date"] < horizon - DAY)
    s.provider.flag(s.grant_id, old["id"], starred=not old["starred"])
    s.provider.edit(s.grant_id, old["id"], subject="Changed")
    s.provider.delete(s.grant_id, old["id"])
    s.provider.restore(s.grant_id, old["id"])
    silent = kind in IMAP_FAMILY

    assert [kind_of for kind_of, _ in s.told()] == (
        [] if silent else ["message.updated", "message.updated", "message.deleted", "message.created"]
    )
    assert s.truth()[old["id"]]["subject"] == "Changed"


def test_mail_that_grows_old_falls_silent(scene):
    s = scene("imap")
    message_id = s.provider.arrive(s.grant_id)
    s.told()
    s.simulator.clock.advance((CACHE_DAYS + 1) * DAY)
    s.provider.flag(s.grant_id, message_id, unread=False)

    assert s.told() == []
    assert s.get(message_id).status_code == 404
    assert s.api.message(s.grant_id, message_id, query_imap="true").status_code == 200


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_folder_is_made_filled_renamed_and_deleted(scene, kind):
    s = scene(kind, messages=0)
    folder_id = s.provider.create_folder(s.grant_id, "Plans")
    message_id = s.provider.arrive(s.grant_id, folders=[folder_id], unread=False)
    assert [kind_of for kind_of, _ in s.told()] == ["folder.created", "message.created"]

    renamed = s.provider.rename_folder(s.grant_id, folder_id, "Old plans")
    listed = {folder["id"]: folder["name"] for folder in s.api.all(s.grant_id, "folders")}
    assert listed[renamed] == "Old plans"
    told = s.told()
    if kind in IMAP_FAMILY:
        assert [kind_of for kind_of, _ in told] == ["folder.created", "message.updated", "folder.deleted"]
        assert folder_id not in listed
    else:
        assert renamed == folder_id
        [(kind_of, facts)] = told
        assert kind_of == "folder.updated"
        assert facts == {
            "id": folder_id,
            "name": "Old plans",
            "grant_id": s.grant_id,
            "object": "folder",
            "system_folder": False,
        }
    assert s.truth()[message_id]["folders"] == [renamed]

    s.provider.delete_folder(s.grant_id, renamed)
    assert renamed not in {folder["id"] for folder in s.api.all(s.grant_id, "folders")}
    assert s.api.mail(s.grant_id, folder=renamed).status_code == 404
    if kind == "google":
        assert s.truth()[message_id]["folders"] == []
        assert [kind_of for kind_of, _ in s.told()] == ["message.updated", "folder.deleted"]
    else:
        assert s.truth() == {}
        assert [kind_of for kind_of, _ in s.told()] == ["message.deleted", "folder.deleted"]


def test_folders_in_a_deleted_folder_go_with_it_and_parents_count_their_children(scene):
    s = scene("microsoft", messages=0)
    parent = s.provider.create_folder(s.grant_id, "Parent")
    child = s.provider.create_folder(s.grant_id, "Child", parent_id=parent)
    folder = s.api.get(f"/v3/grants/{s.grant_id}/folders/{parent}").json()["data"]
    assert folder["child_count"] == 1
    s.told()
    s.provider.delete_folder(s.grant_id, parent)

    assert [facts["id"] for _, facts in s.told()] == [child, parent]


def test_imap_mail_in_two_folders_survives_the_deletion_of_one(scene):
    s = scene("imap", messages=0)
    one, other = (s.provider.create_folder(s.grant_id, name) for name in ("One", "Other"))
    message_id = s.provider.arrive(s.grant_id, folders=[one, other])
    s.provider.delete_folder(s.grant_id, one)

    assert s.truth()[message_id]["folders"] == [other]


def test_what_cannot_be_is_an_error_and_changes_nothing(scene):
    s = scene("imap")
    before, (some, *_) = s.truth(), s.truth()
    for call in (
        lambda: s.provider.arrive("nobody"),
        lambda: s.provider.move(s.grant_id, "<nothing>", [s.folder("inbox")]),
        lambda: s.provider.arrive(s.grant_id, answers="<nothing>"),
    ):
        with pytest.raises(KeyError):
            call()
    for call in (
        lambda: s.provider.arrive(s.grant_id, folders=["nowhere"]),
        lambda: s.provider.move(s.grant_id, some, ["nowhere"]),
        lambda: s.provider.create_folder(s.grant_id, "INBOX"),
        lambda: s.provider.create_folder(s.grant_id, "Deep", parent_id="nowhere"),
        lambda: s.provider.delete_folder(s.grant_id, s.folder("inbox")),
        lambda: s.provider.rename_folder(s.grant_id, "nowhere", "Somewhere"),
        lambda: s.provider.rename_folder(s.grant_id, s.folder("user"), "INBOX"),
    ):
        with pytest.raises(ValueError, match="folder"):
            call()

    assert s.truth() == before
    assert s.told() == []


def test_an_expired_grant_answers_401_and_is_listed_as_invalid_until_it_is_back(scene):
    s = scene("google")
    s.provider.expire(s.grant_id)
    grant = s.api.get(f"/v3/grants/{s.grant_id}").json()["data"]
    assert (grant["grant_status"], s.api.mail(s.grant_id).status_code) == ("invalid", 401)

    s.simulator.clock.advance(HOUR)
    s.provider.reauthenticate(s.grant_id)
    grant = s.api.get(f"/v3/grants/{s.grant_id}").json()["data"]
    assert (grant["grant_status"], s.api.mail(s.grant_id).status_code) == ("valid", 200)
    assert grant["updated_at"] == s.simulator.clock.now()
    (expired, gone), (updated, back) = s.told()
    assert (expired, gone["code"], gone["grant_id"]) == ("grant.expired", 25009, s.grant_id)
    assert (updated, back["code"], back["reauthentication_flag"]) == ("grant.updated", 25027, True)


@pytest.mark.parametrize(("hours", "replayed"), [(72, True), (72.1, False)])
def test_what_an_expired_grant_missed_follows_within_72_hours_only(scene, hours, replayed):
    s = scene("google")
    s.provider.expire(s.grant_id)
    s.told()
    arrived_at = int(s.simulator.clock.now())
    message_id = s.provider.arrive(s.grant_id)
    s.provider.flag(s.grant_id, message_id, unread=False)
    assert s.told() == []
    s.simulator.clock.advance(hours * HOUR)
    s.provider.reauthenticate(s.grant_id)

    s.simulator.postman.deliver()
    missed = ["message.created", "message.updated"] if replayed else []
    came = s.receiver.take()
    assert [one.type for one in came] == ["grant.updated", *missed]
    assert {one.envelope["time"] for one in came[1:]} <= {arrived_at}
    assert message_id in s.truth()


@pytest.mark.parametrize("kind", ["google", "imap"])
def test_a_grant_that_is_connected_appears_and_one_disconnected_is_gone(scene, kind):
    s = scene("ews")
    new = s.provider.connect(MailboxSpec(kind, messages=7))
    grants = {grant["id"]: grant for grant in s.api.get("/v3/grants").json()["data"]}
    assert set(grants) == {s.grant_id, new}
    assert len(list(s.simulator.truth(new))) == 7
    assert new in {mailbox.grant.id for mailbox in s.simulator.fleet}
    told = s.told()
    expected = ["grant.created"] + ["grant.imap_sync_completed"] * (kind == "imap")
    assert [kind_of for kind_of, _ in told] == expected
    assert all(facts["grant_id"] == new and facts["code"] == 25012 for _, facts in told)

    s.provider.arrive(new)
    s.told()
    s.provider.disconnect(new)
    [(kind_of, facts)] = s.told()
    assert (kind_of, facts["code"], facts["grant_id"]) == ("grant.deleted", 25013, new)
    assert s.api.mail(new).status_code == 404
    assert [grant["id"] for grant in s.api.get("/v3/grants").json()["data"]] == [s.grant_id]
    with pytest.raises(KeyError):
        s.provider.arrive(new)


def test_grants_are_sorted_by_their_last_authentication_where_asked(scene):
    s = scene("ews")
    newer = s.provider.connect(MailboxSpec("ews", messages=0))
    s.simulator.clock.advance(HOUR)
    s.provider.reauthenticate(s.grant_id)

    def order(**params):
        return [grant["id"] for grant in s.api.get("/v3/grants", **params).json()["data"]]

    assert order(sort_by="created_at") == [newer, s.grant_id]
    assert order(sort_by="updated_at") == [s.grant_id, newer]


def test_ones_own_mail_files_change_in_the_simulator_only(serve, tmp_path):
    path = tmp_path / "mail.mbox"
    text = "From a@x Thu Jan  1 12:00:00 2026\nMessage-ID: <1@x>\nSubject: One\nFrom: a@x.example\n"
    path.write_text(text + "Date: Thu, 01 Jan 2026 12:00:00 +0000\n\nHello\n\n")
    before = path.read_bytes()
    simulator = Simulator(Fleet.from_mail([path]), limits=Limits.off())
    served = serve(simulator)
    grant_id = served.grant_id("imap")
    new = simulator.provider.arrive(grant_id)
    simulator.provider.delete(grant_id, "<1@x>")

    assert [message["id"] for message in simulator.truth(grant_id)] == [new]
    assert path.read_bytes() == before


def test_a_fleet_that_changed_in_one_simulator_is_unchanged_in_another():
    fleet = Fleet.generate(0, [MailboxSpec("ews", messages=4)])
    grant = fleet.mailbox(0).grant
    first, second = Simulator(fleet), Simulator(fleet)
    first.provider.arrive(grant.id)
    first.provider.expire(grant.id)

    assert [len(list(one.truth(grant.id))) for one in (first, second)] == [5, 4]
    assert fleet.mailbox(0).grant == grant
    assert fleet.mailbox(0).grant.valid
