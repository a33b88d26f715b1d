"""Attachments as the API serves them: metadata, bytes, ids that change."""

import hashlib
from email.message import EmailMessage
from mailbox import mbox
from urllib.parse import quote

import pytest
from nylas import Client

from mail_pipeline.simulator import (
    API_KEY,
    PROVIDERS,
    Fault,
    Faults,
    Fleet,
    Limits,
    MailboxSpec,
    Simulator,
)


def path(grant_id, attachment, what=""):
    return f"/v3/grants/{grant_id}/attachments/{quote(attachment['id'], safe='')}{what}"


def attached(simulator, grant_id):
    """Yield each attachment with its message and position."""
    for message in simulator.truth(grant_id):
        for position, attachment in enumerate(message["attachments"] or ()):
            yield message, position, attachment


def one(served, provider="google"):
    grant_id = served.grant_id(provider)
    message, position, attachment = next(attached(served.simulator, grant_id))
    return grant_id, message, position, attachment


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_official_client_finds_and_downloads_them_with_hostile_ids_of_messages(six, provider):
    client, grant_id = Client(API_KEY, six.api.url), six.grant_id(provider)
    for message, position, attachment in list(attached(six.simulator, grant_id))[:3]:
        imap = {"query_imap": "true"} if provider in {"imap", "yahoo", "icloud"} else {}
        asked = {"message_id": message["id"], **imap}
        found = client.attachments.find(grant_id, attachment["id"], asked).data
        assert (found.id, found.filename, found.size) == (
            attachment["id"],
            attachment.get("filename"),
            attachment["size"],
        )
        content = client.attachments.download_bytes(grant_id, attachment["id"], asked)
        # The client makes nothing of an empty file.
        assert (content or b"") == six.simulator.true_bytes(grant_id, message["id"], position)


def test_the_bytes_follow_from_the_seed_and_differ_from_attachment_to_attachment():
    def digests() -> list[str]:
        simulator = Simulator(Fleet.generate(3, [MailboxSpec("ews", messages=60, oddity_every=0)]))
        grant_id = simulator.fleet.mailbox(0).grant.id
        return [
            hashlib.sha256(simulator.true_bytes(grant_id, message["id"], position)).hexdigest()
            for message, position, _ in attached(simulator, grant_id)
        ]

    first = digests()
    assert first == digests()
    assert len(set(first)) == len(first) > 5


def test_sizes_are_exact_at_google_and_about_right_elsewhere(six):
    differences = {
        provider: [
            attachment["size"] - len(six.simulator.true_bytes(six.grant_id(provider), message["id"], place))
            for message, place, attachment in attached(six.simulator, six.grant_id(provider))
        ]
        for provider in ("google", "microsoft")
    }
    assert set(differences["google"]) == {0}
    assert max(differences["microsoft"]) > 0
    assert min(differences["microsoft"]) >= 0


def test_a_message_and_one_of_its_ids_must_be_named(six):
    grant_id, message, _, attachment = one(six)
    other = next(each for each, *_ in attached(six.simulator, grant_id) if each["id"] != message["id"])
    for what in ("", "/download"):
        asked = path(grant_id, attachment, what)
        assert six.api.get(asked).status_code == 400
        assert six.api.get(asked, message_id=other["id"]).status_code == 404
        assert six.api.get(asked, message_id="nobody").status_code == 404
        assert six.api.get(asked, message_id=message["id"], limit=3).status_code == 400
        assert six.api.get(asked, message_id=message["id"], query_imap="true").status_code == 400
        assert six.api.get(path(grant_id, {"id": "none"}, what), message_id=message["id"]).status_code == 404


def test_old_imap_mail_is_reached_with_query_imap_alone(six):
    grant_id = six.grant_id("imap")
    *_, (message, _, attachment) = attached(six.simulator, grant_id)
    asked = path(grant_id, attachment, "/download")
    assert six.api.get(asked, message_id=message["id"]).status_code == 404
    assert six.api.get(asked, message_id=message["id"], query_imap="true").status_code == 200


def test_googles_cost_five_units_and_every_request_is_logged_with_its_message(six):
    grant_id, message, _, attachment = one(six)
    answer = six.api.get(path(grant_id, attachment, "/download"), message_id=message["id"])
    assert answer.headers["Nylas-Gmail-Quota-Usage"] == "5"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    logged = six.simulator.requests[-1]
    assert logged.query == {"message_id": message["id"]}
    assert (logged.operation, logged.grant_id, logged.query["message_id"]) == (
        "download",
        grant_id,
        message["id"],
    )


def test_ids_change_whenever_the_message_is_read_and_older_ones_are_not_found(serve):
    specs = [MailboxSpec(each, messages=60, oddity_every=0) for each in ("google", "ews")]
    served = serve(Simulator(Fleet.generate(3, specs), limits=Limits.off(), changing_attachment_ids=True))
    grant_id, message, position, _ = one(served)
    seen = set[str]()
    for _ in range(3):
        read = served.api.message(grant_id, message["id"]).json()["data"]["attachments"][position]
        assert read["id"] not in seen
        for old in seen:
            asked = path(grant_id, {"id": old}, "/download")
            assert served.api.get(asked, message_id=message["id"]).status_code == 404
        seen.add(read["id"])
        for _ in range(2):
            answer = served.api.get(path(grant_id, read, "/download"), message_id=message["id"])
            assert answer.content == served.simulator.true_bytes(grant_id, message["id"], position)
    # A list reads it, a list of ids does not; and only Google's change.
    served.api.all(grant_id, select="id")
    assert served.api.get(path(grant_id, read), message_id=message["id"]).status_code == 200
    served.api.all(grant_id)
    assert served.api.get(path(grant_id, read), message_id=message["id"]).status_code == 404
    ews, message, _, attachment = one(served, "ews")
    served.api.message(ews, message["id"])
    assert served.api.get(path(ews, attachment), message_id=message["id"]).status_code == 200


def test_those_of_mail_files_are_the_ones_that_were_sent(tmp_path, serve):
    mail, contents = EmailMessage(), [b"%PDF \x00\xff" * 30, b"", "naïve".encode("latin-1")]
    mail["Message-ID"] = "<a/b@oak.example>"
    mail["Date"] = "Mon, 01 Jan 2024 10:00:00 +0000"
    mail.set_content("See attached.")
    for number, content in enumerate(contents):
        mail.add_attachment(content, maintype="application", subtype="pdf", filename=f"ü{number}.pdf")
    box = mbox(tmp_path / "mine.mbox")
    box.add(mail)
    box.close()
    served = serve(Simulator(Fleet.from_mail([tmp_path / "mine.mbox"]), limits=Limits.off()))
    grant_id = served.grant_id("imap")

    got = [
        served.api.get(path(grant_id, each, "/download"), message_id=message["id"], query_imap="true").content
        for message, _, each in attached(served.simulator, grant_id)
    ]

    assert got == contents


def test_new_mails_attachments_are_there_and_stay_so_when_it_is_moved(serve):
    served = serve(Simulator(Fleet.generate(3, [MailboxSpec("ews", messages=5)]), limits=Limits.off()))
    grant_id, provider = served.grant_id("ews"), served.simulator.provider
    first = provider.arrive(grant_id, attachments=2)
    before = [served.simulator.true_bytes(grant_id, first, position) for position in range(2)]
    folder = served.simulator.true_folders(grant_id)[-1].id
    moved = provider.move(grant_id, first, [folder])
    assert moved != first
    assert [served.simulator.true_bytes(grant_id, moved, position) for position in range(2)] == before


def test_a_fault_never_changes_bytes_without_a_sign_of_it(serve):
    faults = Faults(rate=0.9, kinds=Fault, in_a_row=9, seconds=0.01)
    served = serve(
        Simulator(Fleet.generate(3, [MailboxSpec(messages=60)]), limits=Limits.off(), faults=faults)
    )
    grant_id, message, position, attachment = one(served)
    truth = served.simulator.true_bytes(grant_id, message["id"], position)
    good = 0
    for _ in range(60):
        try:
            answer = served.api.get(path(grant_id, attachment, "/download"), message_id=message["id"])
        except OSError:
            continue
        if answer.status_code == 200 and answer.headers["Content-Type"] == "application/octet-stream":
            assert answer.content == truth
            good += 1
    assert good > 5
    assert len({each.fault for each in served.simulator.requests if each.fault}) > 10
