"""Every attachment is stored byte for byte, once, whatever goes wrong on the way."""

from collections import Counter
from dataclasses import replace
from random import Random
from urllib.parse import quote

import requests
from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.lake.file_store import FileStore
from mail_pipeline.simulator import API_KEY, Fault, FaultRule, Faults, Latency, Limits
from mail_pipeline.sync.attachment_fetch import match
from mail_pipeline.sync.attachment_rows import Wanted
from mail_pipeline_tests.attachments.conftest import Serve
from mail_pipeline_tests.attachments.files import CONTENT_ADDRESS, Filed, mailboxes
from mail_pipeline_tests.buckets import bucket


def read_again(filed: Filed, grant_id: str) -> None:
    """Read every message, as another client of the account does."""
    for message in filed.simulator.truth(grant_id):
        path = f"/v3/grants/{grant_id}/messages/{quote(message['id'], safe='')}"
        answer = requests.get(filed.url + path, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=30)
        assert answer.status_code == 200


def test_whatever_goes_wrong_on_the_way_each_is_stored_byte_for_byte_and_never_asked_for_again(
    serve: Serve,
) -> None:
    filed = serve(faults=Faults(rate=0.25, seed=3, seconds=0.05), compress=True)

    ended = filed.fetch()

    assert {each.state for each in ended.values()} == {"complete"}
    assert filed.digests() == filed.truth()
    assert len({each.fault for each in filed.downloads()}) > 3
    assert all(map(CONTENT_ADDRESS.fullmatch, filed.files()))
    sizes = Counter[str]()
    for (grant_id, _, _), row in filed.rows().items():
        sizes[grant_id] += row["size"]
    assert {grant_id: each.bytes for grant_id, each in ended.items()} == sizes

    asked = len(filed.simulator.requests)
    assert sum(each.wanted for each in filed.fetch().values()) == 0
    assert filed.downloads(asked) == []


def test_an_id_that_has_changed_is_looked_up_once_for_all_attachments_of_its_message(serve: Serve) -> None:
    filed = serve(changing_attachment_ids=True)
    google = filed.grant_id("google")
    read_again(filed, google)

    filed.fetch()

    assert filed.digests() == filed.truth()
    downloads = [each for each in filed.downloads() if each.grant_id == google]
    outcomes = Counter((each.query["message_id"], each.status) for each in downloads)
    files = Counter(message_id for grant_id, message_id, _ in filed.digests() if grant_id == google)
    assert len(files) >= 3
    assert outcomes == {**{(id_, 404): 1 for id_ in files}, **{(id_, 200): n for id_, n in files.items()}}


ATTACHED = st.tuples(st.sampled_from(["report.pdf", "photo.jpg", "", None]), st.integers(0, 3))


@given(st.lists(ATTACHED, unique=True, max_size=6), st.randoms(use_true_random=False))
def test_of_attachments_that_differ_in_name_or_size_each_is_found_again_in_any_order(
    listed: list[tuple[str | None, int]], random: Random
) -> None:
    # No name and an empty one are the same.
    listed = list({(name or None, size): (name, size) for name, size in listed}.values())
    after = [{"filename": name, "size": size, "id": f"new {n}"} for n, (name, size) in enumerate(listed)]
    random.shuffle(after)
    for position, (name, size) in enumerate(listed):
        wanted = Wanted("m", position, "old", name, None, size, None, False, None)
        assert match(wanted, after) == f"new {position}"
        # A size is only about right.
        others = [other for other in after if (other["filename"] or "") != (name or "")]
        assert match(wanted, [*others, {"filename": name, "size": 99, "id": "only"}]) == "only"
        assert match(wanted, others) is None
        assert match(replace(wanted, filename="else.txt"), after) is None


def test_what_is_gone_is_said_so_and_asked_for_again_only_on_request(serve: Serve) -> None:
    filed = serve()
    truth = filed.truth()
    lost = [max(key for key in truth if key[0] == filed.grant_id(each)) for each in ("google", "imap")]
    files = {key for key in truth for one in lost if key[:2] == one[:2]}
    for grant_id, message_id, _ in lost:
        filed.simulator.provider.delete(grant_id, message_id)

    ended = filed.fetch()

    assert {(each.state, each.succeeded) for each in ended.values()} == {("complete", True)}
    assert {key for key, row in filed.rows().items() if row["state"] == "gone"} == files
    assert set(filed.digests()) == set(truth) - files
    asked = len(filed.simulator.requests)
    filed.fetch()
    assert filed.downloads(asked) == []
    for grant_id, message_id, _ in lost:
        filed.simulator.provider.restore(grant_id, message_id)
    filed.fetch(retry_gone=True)
    assert filed.digests() == truth


def test_grants_that_vanished_or_expired_stop_alone_and_take_nothing_for_gone(serve: Serve) -> None:
    filed = serve()
    vanished, expired = filed.grant_id("google"), filed.grant_id("ews")
    filed.simulator.vanish(vanished)
    filed.simulator.provider.expire(expired)

    ended = filed.fetch()

    assert {key for key, each in ended.items() if each.state == "failed"} == {vanished, expired}
    assert "refresh_accounts" in str(ended[vanished].next_step)
    assert "reconnect" in str(ended[expired].next_step)
    assert {key[0] for key in filed.rows()} == set(filed.grants()) - {vanished, expired}
    filed.simulator.restore(vanished)
    filed.simulator.provider.reauthenticate(expired)
    filed.fetch()
    assert filed.digests() == filed.truth()


def test_one_that_cannot_be_had_stops_nobody_and_a_provider_that_brings_nothing_its_grant_alone(
    serve: Serve,
) -> None:
    grants = {mailbox.grant.provider: mailbox.grant.id for mailbox in mailboxes().fleet}
    imap, google = grants["imap"], grants["google"]
    rules = [
        FaultRule(Fault.HTML_OK, operation="download", grant_id=imap),
        FaultRule(Fault.INTERNAL, operation="download", grant_id=google, times=None),
    ]
    filed = serve(faults=Faults(rules))

    ended = filed.fetch(settings=filed.settings(patience=0.0))

    assert (ended[imap].state, ended[imap].failed, ended[imap].succeeded) == ("complete", 1, False)
    assert ended[imap].stored == ended[imap].wanted - 1
    [failed] = [row for row in filed.rows().values() if row["state"] == "failed" and row["grant_id"] == imap]
    assert "expected the bytes of a file" in failed["reason"]
    assert (failed["sha256"], failed["size"], failed["path"]) == (None, None, None)
    assert (ended[google].state, ended[google].failed) == ("paused", 2)
    assert "500" in str(ended[google].reason)
    assert sum(each.state == "complete" for each in ended.values()) == 3

    [again] = filed.fetch(grants=(imap,)).values()
    assert (again.wanted, again.stored) == (1, 1)


def test_no_provider_has_to_refuse_for_too_many_requests_at_once(serve: Serve) -> None:
    filed = serve(limits=Limits(), latency=Latency(base=0.02))

    filed.fetch()

    assert {each.limited for each in filed.simulator.requests} == {None}
    assert filed.digests() == filed.truth()


def test_a_bucket_holds_the_same_as_a_folder(serve: Serve) -> None:
    filed = serve()
    with bucket() as address:
        filed.fetch(settings=filed.settings(attachments=address))
        store = FileStore.open(filed.data, address)
        sizes = {row["sha256"]: row["size"] for row in filed.rows().values()}
        assert {key: row["sha256"] for key, row in filed.rows().items()} == filed.truth()
        assert store.present(sizes) == set(sizes)
        assert filed.files() == set()
