import orjson
import pytest
from nylas.models.messages import Message

from mail_pipeline.simulator import Fleet, MailboxSpec
from mail_pipeline.simulator.oddities import ODDITIES


def _plain():
    return Fleet.generate(0, [MailboxSpec("imap", messages=5, oddity_every=0)]).mailbox(0).message(2)


@pytest.mark.parametrize("oddity", ODDITIES)
def test_an_odd_message_differs_is_json_and_keeps_its_identity(oddity):
    message = _plain()
    oddity(message)
    assert message != _plain()
    assert orjson.loads(orjson.dumps(message)) == message
    for field in ("id", "grant_id", "object", "date", "folders"):
        assert message[field] == _plain()[field]


@pytest.mark.parametrize("oddity", ODDITIES)
def test_the_vendors_model_reads_every_odd_message(oddity):
    message = _plain()
    oddity(message)
    read = Message.from_dict(message, infer_missing=True)
    assert read.id == message["id"]
    assert read.body == message.get("body")
    assert read.from_ == message.get("from")


@pytest.mark.parametrize("every", [1, 7])
def test_one_message_in_so_many_is_odd(every):
    def messages(oddity_every):
        mailbox = Fleet.generate(0, [MailboxSpec("ews", messages=70, oddity_every=oddity_every)]).mailbox(0)
        return [orjson.dumps(mailbox.message(number)) for number in range(70)]

    odd = [number for number, (a, b) in enumerate(zip(messages(every), messages(0), strict=True)) if a != b]
    # An attachment list that is already empty can be no emptier.
    assert len(odd) >= 70 // every - 3
    assert all(number % every == 0 for number in odd)
