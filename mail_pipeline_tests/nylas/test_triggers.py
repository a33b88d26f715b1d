import pytest

from mail_pipeline.nylas import TRIGGERS
from mail_pipeline.nylas.triggers import named_in


def test_every_trigger_is_one_that_nylas_own_client_knows_or_that_its_notifications_have():
    from nylas.models.webhooks import WebhookTriggers

    assert set(TRIGGERS) - {trigger.value for trigger in WebhookTriggers} == {"grant.imap_sync_completed"}
    assert len(set(TRIGGERS)) == len(TRIGGERS)


def test_a_mirror_asks_for_no_tracking_and_nothing_of_what_is_sent():
    resources = {trigger.split(".")[0] for trigger in TRIGGERS}
    assert resources == {"message", "folder", "contact", "calendar", "event", "grant"}
    assert not {"message.opened", "message.send_success", "contact.created"} & set(TRIGGERS)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("trigger_types: message.deleted is not a valid value", ("message.deleted",)),
        ("'grant.expired', \"event.created\"", ("event.created", "grant.expired")),
        ("Unknown trigger message.deleted.", ("message.deleted",)),
        ("message.created.cleaned is not allowed", ()),
        ("xmessage.created", ()),
        ("", ()),
    ],
)
def test_the_triggers_a_text_names_are_found(words, named):
    assert named_in(words) == named
