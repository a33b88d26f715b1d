from urllib.parse import quote

import pytest

from mail_pipeline.simulator import PROVIDERS, Fleet, Limits, MailboxSpec, Simulator


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("limit", [1, 4, 200])
def test_cursors_lead_through_all_folders(six, provider, limit):
    mailbox = six.simulator.fleet.find(six.grant_id(provider))
    listed = six.api.all(mailbox.grant.id, "folders", limit=limit)
    assert [folder["id"] for folder in listed] == [folder.id for folder in mailbox.folders]


def test_a_list_shows_fifty_folders_unless_asked_otherwise(serve):
    served = serve(
        Simulator(Fleet.generate(0, [MailboxSpec("imap", messages=5, user_folders=70)]), limits=Limits.off())
    )
    grant_id = served.grant_id("imap")
    first = served.api.get(f"/v3/grants/{grant_id}/folders").json()
    assert len(first["data"]) == 50
    assert first["next_cursor"]
    assert len(served.api.all(grant_id, "folders")) == 76
    assert served.api.get(f"/v3/grants/{grant_id}/folders", limit=201).status_code == 400


def test_counts_are_those_of_the_messages(six):
    grant_id = six.grant_id("ews")
    for folder in six.api.all(grant_id, "folders"):
        inside = [m for m in six.simulator.truth(grant_id) if folder["id"] in m["folders"]]
        assert folder["total_count"] == len(inside)
        assert folder["unread_count"] == sum(m["unread"] for m in inside)


def test_fields_are_each_providers_own(six):
    def fields(provider):
        return set().union(*six.api.all(six.grant_id(provider), "folders"))

    common = {"id", "grant_id", "object", "name", "attributes"}
    counts = {"total_count", "unread_count"}
    assert fields("google") == common | counts | {"system_folder", "background_color", "text_color"}
    assert fields("microsoft") == common | counts | {"parent_id", "child_count"}
    assert fields("imap") == common | counts
    assert fields("yahoo") == common
    special = {a for f in six.api.all(six.grant_id("icloud"), "folders") for a in f["attributes"]}
    assert special == {"\\Inbox", "\\Sent", "\\Drafts", "\\Trash", "\\Junk", "\\Archive"}


def test_microsofts_tree_is_flat_unless_one_level_is_asked_for(six):
    grant_id = six.grant_id("microsoft")
    everything = six.api.all(grant_id, "folders")
    top = six.api.all(grant_id, "folders", single_level="true")
    assert 0 < len(top) < len(everything)
    (inbox,) = (folder for folder in everything if folder["attributes"] == ["\\Inbox"])
    children = six.api.all(grant_id, "folders", parent_id=inbox["id"])
    assert len(children) == inbox["child_count"] == 1
    roots = {folder["parent_id"] for folder in top}
    assert not roots & {folder["id"] for folder in everything}


@pytest.mark.parametrize("provider", ["google", "imap"])
def test_a_folder_is_found_by_its_encoded_id(six, provider):
    grant_id = six.grant_id(provider)
    for folder in six.api.all(grant_id, "folders"):
        path = f"/v3/grants/{grant_id}/folders/{quote(folder['id'], safe='')}"
        assert six.api.get(path).json()["data"] == folder
    assert six.api.get(f"/v3/grants/{grant_id}/folders/nothing").status_code == 404


def test_select_leaves_the_other_fields_out(six):
    listed = six.api.all(six.grant_id("google"), "folders", select="id,name")
    assert {frozenset(folder) for folder in listed} == {frozenset({"id", "name"})}


def test_a_folder_cursor_opens_no_other_list(six):
    google, imap = six.grant_id("google"), six.grant_id("imap")
    token = six.api.get(f"/v3/grants/{google}/folders", limit=2).json()["next_cursor"]
    assert six.api.get(f"/v3/grants/{google}/folders", page_token=token).status_code == 200
    assert six.api.get(f"/v3/grants/{imap}/folders", page_token=token).status_code == 400
    assert six.api.mail(google, page_token=token).status_code == 400


def test_a_vanished_folder_is_gone_until_restored(serve):
    served = serve(Simulator(Fleet.generate(0, [MailboxSpec("imap", messages=50)]), limits=Limits.off()))
    grant_id = served.grant_id("imap")
    served.simulator.vanish(grant_id, "a/b")
    assert "a/b" not in [folder["id"] for folder in served.api.all(grant_id, "folders")]
    assert served.api.mail(grant_id, folder="a/b", query_imap="true").status_code == 404
    served.simulator.restore(grant_id, "a/b")
    assert served.api.mail(grant_id, folder="a/b", query_imap="true").status_code == 200
