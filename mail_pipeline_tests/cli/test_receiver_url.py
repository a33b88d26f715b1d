import click
import pytest

from mail_pipeline.cli.receiver_url import is_receivers, receiver_url, same_address
from mail_pipeline.inbox import RECEIVER_PATH

URL = "https://mail.example.com/webhooks/nylas"


def taken(url: str) -> str:
    command = click.Command("x", params=[click.Argument(["url"], callback=receiver_url)])
    with command.make_context("x", [url]) as context:
        return str(context.params["url"])


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://mail.example.com:8443/webhooks/nylas",
        "https://10.0.0.7/webhooks/nylas?token=a",
        "http://localhost:8787/webhooks/nylas",
        "http://127.0.0.1:8787/webhooks/nylas",
    ],
)
def test_an_address_that_nylas_or_a_simulator_can_send_to_is_taken(url, capsys):
    assert taken(url) == url
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://mail.example.com/webhooks/nylas", "https"),
        ("http://localhost.example.com/webhooks/nylas", "https"),
        ("ftp://mail.example.com/", "https"),
        ("mail.example.com/webhooks/nylas", "such as"),
        ("https:///webhooks/nylas", "such as"),
        ("https://user:pw@mail.example.com/", "such as"),
        ("https://mail.example.com/#part", "such as"),
        ("https://mail.example.com:port/", "such as"),
        ("https://mäil.example.com/", "such as"),
        ("https://mail.example.com/a b", "such as"),
        ("https://[::1/", "such as"),
        ("https://abcd-1-2-3-4.ngrok-free.app/webhooks/nylas", "ngrok"),
        ("https://me.eu.ngrok.io/webhooks/nylas", "ngrok"),
    ],
)
def test_an_address_that_cannot_work_is_refused_saying_why(url, said):
    with pytest.raises(click.BadParameter, match=said) as caught:
        taken(url)
    assert "pw" not in caught.value.message


def test_another_path_is_taken_with_a_note(capsys):
    assert taken("https://mail.example.com/hooks") == "https://mail.example.com/hooks"
    assert RECEIVER_PATH in capsys.readouterr().err


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (URL, True),
        (f"{URL}/", True),
        ("HTTPS://Mail.Example.com:443/webhooks/nylas", True),
        ("https://mail.example.com:8443/webhooks/nylas", False),
        ("https://mail.example.com/webhooks/Nylas", False),
        ("https://mail.example.com/webhooks/nylas?a=1", False),
        ("https://[::1", False),
    ],
)
def test_two_addresses_are_the_same_however_they_are_written(other, same):
    assert same_address(URL, other) is same


@pytest.mark.parametrize(
    ("url", "receivers"),
    [
        (URL, True),
        (f"{URL}/", True),
        ("https://a.example/mail/webhooks/nylas", True),
        ("https://a.example/webhooks/other", False),
        ("https://[::1", False),
    ],
)
def test_an_address_is_the_receivers_by_its_path(url, receivers):
    assert is_receivers(url) is receivers
