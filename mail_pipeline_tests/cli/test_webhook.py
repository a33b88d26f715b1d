import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from mail_pipeline.nylas import TRIGGERS
from mail_pipeline.simulator import API_KEY, Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.cli.conftest import Cli
from mail_pipeline_tests.nylas.scripted import Reply, ScriptedServer, Seen, page, refusal

URL = "https://mail.example.com/webhooks/nylas"
KEY = "nyk_v0_SECRETSECRETSECRET"


class Application:
    """The webhooks of one application, as Nylas keeps them; its secrets are whsec-1, whsec-2, ..."""

    def __init__(self) -> None:
        self.webhooks: dict[str, dict[str, Any]] = {}
        self.changes: list[Seen] = []
        self.unknown: set[str] = set()
        self.secrets = 0

    def add(self, webhook_id: str, url: str = URL, **rest: Any) -> None:
        record = {"id": webhook_id, "webhook_url": url, "status": "active", "trigger_types": [*TRIGGERS]}
        self.webhooks[webhook_id] = {**record, "status_updated_at": 1_700_000_000, **rest}

    def __call__(self, seen: Seen) -> Reply:
        if seen.method == "GET":
            return page(list(self.webhooks.values()))
        self.changes.append(seen)
        body = json.loads(seen.body or b"{}")
        if unknown := self.unknown & set(body.get("trigger_types", ())):
            return refusal(400, message=f"unknown trigger {unknown.pop()}")
        if seen.path == "/v3/webhooks":
            body["id"] = f"w-{len(self.webhooks) + 1}"
            self.webhooks[body["id"]] = {**body, "status": "active"}
            return self._with_secret(body["id"])
        [webhook_id] = re.findall(r"/v3/webhooks/(?:rotate-secret/)?([^/]+)", seen.path)
        if webhook_id not in self.webhooks:
            return refusal(404)
        if "rotate-secret" in seen.path:
            return self._with_secret(webhook_id)
        if seen.method == "DELETE":
            del self.webhooks[webhook_id]
            return Reply({"request_id": "r"})
        self.webhooks[webhook_id].update(body)
        return Reply({"request_id": "r", "data": self.webhooks[webhook_id]})

    def _with_secret(self, webhook_id: str) -> Reply:
        self.secrets += 1
        data = {**self.webhooks[webhook_id], "webhook_secret": f"whsec-{self.secrets}"}
        return Reply({"request_id": "r", "data": data})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture
def application(server: ScriptedServer) -> Application:
    server.otherwise = application = Application()
    return application


@pytest.fixture
def webhook(cli: Callable[..., Cli], server: ScriptedServer, application: Application) -> Callable[..., Any]:
    """Run a subcommand; check its exit code, and that it shows no secret where it is to be kept or fails."""
    place = cli(NYLAS_API_URI=server.uri, NYLAS_API_KEY=KEY)

    def run(*arguments: str, exit_code: int = 0, stdin: str | None = None) -> Any:
        result = place.invoke("webhook", *arguments, stdin=stdin)
        assert result.exit_code == exit_code, result.output
        assert KEY not in result.output
        assert "whsec" not in result.stderr
        if exit_code or "--secret-to" in arguments:
            assert "whsec" not in result.stdout
        return result

    return run


def said(result: Any) -> dict[str, Any]:
    return dict(json.loads(result.stdout))


def test_create_asks_for_all_triggers_and_shows_the_secret_once(webhook, application):
    shown = webhook("create", URL, "--email", "ops@example.com").stdout
    assert shown.count("whsec") == 1
    assert "NYLAS_WEBHOOK_SECRET=whsec-1" in shown.splitlines()
    assert "whsec" not in webhook("status").stdout
    [made] = application.webhooks.values()
    assert made["webhook_url"] == URL
    assert made["trigger_types"] == list(TRIGGERS)
    assert made["compressed_delivery"] is True
    assert made["notification_email_addresses"] == ["ops@example.com"]


def test_create_does_as_it_is_told(webhook, application):
    options = ("--no-compressed", "--description", "mine", "--without", "message.deleted")
    webhook("create", URL, *options, "--without", "contact.deleted")
    [made] = application.webhooks.values()
    assert set(TRIGGERS) - set(made["trigger_types"]) == {"message.deleted", "contact.deleted"}
    assert made["compressed_delivery"] is False
    assert made["description"] == "mine"
    assert "notification_email_addresses" not in made


@pytest.mark.parametrize("as_json", [True, False])
def test_a_secret_is_stored_where_the_user_says_and_not_shown(webhook, tmp_path, as_json):
    env = tmp_path / ".env"
    env.write_text("OTHER=1\n")
    result = webhook("create", URL, "--secret-to", str(env), *(["--json"] if as_json else []))
    assert env.read_text() == "OTHER=1\nNYLAS_WEBHOOK_SECRET=whsec-1\n"
    assert env.stat().st_mode & 0o777 == 0o600
    if as_json:
        assert said(result)["secret_to"] == str(env)


def test_for_machines_the_secret_is_in_the_object(webhook):
    made = said(webhook("create", URL, "--json"))
    assert (made["ok"], made["id"], made["secret"], made["url"]) == (True, "w-1", "whsec-1", URL)


def test_where_the_secret_cannot_be_stored_nothing_is_made(webhook, application, tmp_path):
    result = webhook("create", URL, "--secret-to", str(tmp_path / "no" / ".env"), exit_code=1)
    assert "cannot keep the secret" in result.stderr
    assert application.changes == []


def test_a_secret_that_could_not_be_stored_after_all_says_how_to_get_another(webhook, server, tmp_path):
    place = tmp_path / "place"
    place.mkdir()

    def vanish():
        place.rmdir()

    made = {"id": "w-9", "webhook_url": URL, "status": "active", "webhook_secret": "whsec-9"}
    server.reply(page([]), Reply({"data": made}, before=vanish))
    result = webhook("create", URL, "--secret-to", str(place / ".env"), exit_code=1)
    assert "w-9 was made, but" in result.stderr
    assert "webhook rotate w-9" in result.stderr


def test_an_answer_without_secret_says_how_to_get_one(webhook, server):
    server.reply(page([]), Reply({"data": {"id": "w-9", "webhook_url": URL}}))
    assert "webhook rotate w-9" in webhook("create", URL, exit_code=1).stderr


@pytest.mark.parametrize(
    "url", ["http://mail.example.com/webhooks/nylas", "https://x.ngrok.io/webhooks/nylas"]
)
def test_an_address_nylas_would_not_send_to_is_bad_usage(webhook, server, url):
    webhook("create", url, exit_code=2)
    assert server.seen == []


def test_an_unknown_trigger_to_leave_out_is_bad_usage(webhook, server):
    assert "message.deleted" in webhook("create", URL, "--without", "message.read", exit_code=2).stderr
    assert server.seen == []


def test_a_second_webhook_for_the_same_address_is_refused_naming_the_first(webhook, application):
    application.add("w-old", f"{URL}/", status="failing")
    result = webhook("create", URL, "--json", exit_code=1)
    assert "w-old, failing" in result.stderr
    assert said(result)["ok"] is False
    assert application.changes == []


def test_a_trigger_the_application_does_not_have_is_named_and_can_be_left_out(webhook, application):
    application.unknown = {"message.deleted"}
    result = webhook("create", URL, exit_code=1)
    assert "does not know message.deleted" in result.stderr
    assert "--without" in result.stderr
    webhook("create", URL, "--without", "message.deleted")
    assert len(application.webhooks) == 1


@pytest.mark.parametrize("arguments", [("create", URL), ("status",), ("rotate",), ("delete",), ("activate",)])
def test_without_a_key_nothing_is_sent(cli, server, arguments):
    result = cli(NYLAS_API_URI=server.uri).invoke("webhook", *arguments)
    assert result.exit_code == 1
    assert "NYLAS_API_KEY is not set" in result.stderr
    assert server.seen == []


def test_rotate_puts_the_new_secret_before_the_old_one(webhook, application, tmp_path):
    env = tmp_path / ".env"
    webhook("create", URL, "--secret-to", str(env))
    webhook("rotate", "--secret-to", str(env))
    assert dotenv_values(env)["NYLAS_WEBHOOK_SECRET"] == "whsec-2,whsec-1"
    assert "NYLAS_WEBHOOK_SECRET=whsec-3" in webhook("rotate", "w-1").stdout.splitlines()


@pytest.mark.parametrize(
    ("subcommand", "method"), [("rotate", "POST"), ("activate", "PUT"), ("delete", "DELETE")]
)
def test_the_id_may_be_left_out_where_it_is_clear(webhook, application, subcommand, method):
    arguments = [subcommand, *(["--yes"] if subcommand == "delete" else [])]
    application.add("w-only", "https://elsewhere.example/hook")
    webhook(*arguments)
    application.webhooks.clear()
    application.add("w-other", "https://elsewhere.example/hook")
    application.add("w-ours")
    webhook(*arguments)
    assert [seen.method for seen in application.changes] == [method] * 2
    assert "w-only" in application.changes[0].path
    assert "w-ours" in application.changes[1].path


@pytest.mark.parametrize("arguments", [("rotate",), ("activate",), ("delete", "--yes"), ("rotate", "w-9")])
def test_where_it_is_not_clear_it_says_which_there_are_and_changes_nothing(webhook, application, arguments):
    for number in (1, 2):
        application.add(f"w-{number}", f"https://{number}.example/webhooks/nylas")
    result = webhook(*arguments, exit_code=1)
    assert "w-1 (https://1.example/webhooks/nylas)" in result.stderr
    assert "w-2" in result.stderr
    assert application.changes == []


@pytest.mark.parametrize("arguments", [("rotate",), ("activate", "w-1"), ("delete", "--yes")])
def test_where_there_is_none_it_says_how_to_make_one(webhook, application, arguments):
    assert "webhook create" in webhook(*arguments, exit_code=1).stderr
    assert application.changes == []


def test_delete_asks_first(webhook, application):
    application.add("w-1")
    assert URL in webhook("delete", stdin="n\n", exit_code=1).stderr
    assert webhook("delete", exit_code=1, stdin="").exit_code == 1
    webhook("delete", "--json", exit_code=2)
    assert application.changes == []
    webhook("delete", stdin="y\n")
    assert application.webhooks == {}


def test_delete_tells_a_machine_what_is_gone(webhook, application):
    application.add("w-1")
    assert said(webhook("delete", "--yes", "--json"))["id"] == "w-1"
    assert application.webhooks == {}


def test_status_of_a_webhook_that_does_all_is_0(webhook, application):
    application.add("w-1")
    shown = webhook("status").stdout
    assert re.search(rf"w-1 +{URL} +active +2023-11-14 22:13:20 UTC", shown)
    assert "activate" not in shown


def test_status_without_any_webhook_is_1_and_says_how_to_make_one(webhook):
    assert "webhook create" in webhook("status", exit_code=1).stdout
    assert said(webhook("status", "--json", exit_code=1)) == {"ok": False, "webhooks": []}


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("failing", "72 h"),
        ("failed", "Nylas gave up"),
        ("paused", "Nothing is sent"),
        ("pause", "Nothing is sent"),
        ("asleep", "dashboard"),
    ],
)
def test_status_of_one_that_does_not_deliver_is_1_and_says_what_to_do(webhook, application, state, step):
    application.add("w-1", status=state)
    shown = webhook("status", exit_code=1).stdout
    assert step in shown
    assert ("webhook activate w-1" in shown) == (state != "asleep")


def test_status_names_the_triggers_that_are_missing(webhook, application):
    application.add("w-1", trigger_types=[name for name in TRIGGERS if name != "message.deleted"])
    result = said(webhook("status", "--json", exit_code=1))
    [shown] = result["webhooks"]
    assert shown["missing_triggers"] == ["message.deleted"]
    assert "--add-triggers" in shown["next_step"]
    assert shown["status_updated_at"].startswith("2023-11-14T22:13:20")
    assert "secret" not in shown
    assert said(webhook("status", "--without", "message.deleted", "--json"))["ok"] is True


def test_status_is_0_when_any_webhook_does_all(webhook, application):
    application.add("w-1", "https://old.example/webhooks/nylas", status="failed")
    application.add("w-2", created_at=1, status_updated_at=None)
    assert "w-1: Nylas gave up" in webhook("status").stdout


def test_activate_changes_the_status_and_nothing_else(webhook, application):
    application.add("w-1", status="failed", trigger_types=["message.created"])
    assert "active" in webhook("activate").stdout
    assert [json.loads(seen.body) for seen in application.changes] == [{"status": "active"}]


def test_activate_adds_what_is_missing_when_told_to(webhook, application):
    application.add("w-1", trigger_types=["booking.created", "message.created"])
    webhook("activate", "--add-triggers", "--without", "message.deleted")
    triggers = application.webhooks["w-1"]["trigger_types"]
    assert set(triggers) == ({"booking.created"} | set(TRIGGERS)) - {"message.deleted"}
    assert len(triggers) == len(set(triggers))
    webhook("activate", "--without", "message.deleted", exit_code=2)


def test_activate_of_one_that_stays_failed_is_1(webhook, server, application):
    application.add("w-1", status="failed")
    server.reply(page([application.webhooks["w-1"]]), Reply({"data": application.webhooks["w-1"]}))
    assert said(webhook("activate", "--json", exit_code=1))["status"] == "failed"


def test_a_receiver_that_does_not_answer_the_challenge_is_named(webhook, server, application):
    application.add("w-1", status="failed")
    server.reply(page([application.webhooks["w-1"]]), refusal(400, message="challenge failed"))
    assert "mail-pipeline receive" in webhook("activate", exit_code=1).stderr


def test_an_interrupted_creation_is_not_repeated(webhook, server):
    server.reply(page([]), Reply(end="reset"))
    result = webhook("create", URL, exit_code=1)
    assert "Nobody knows whether the webhook was made" in result.stderr
    assert len(server.seen) == 2


def test_a_webhook_lives_its_life_at_the_simulator(cli: Callable[..., Cli], tmp_path: Path):
    receiver = ScriptedServer()
    receiver.otherwise = lambda seen: Reply(seen.query.get("challenge", "").encode())
    url = f"{receiver.uri}/webhooks/nylas"
    simulator = Simulator(
        Fleet.generate(3, [MailboxSpec("imap", messages=5)]), limits=Limits.off(), webhook_secret="whsec-sim"
    )
    env = tmp_path / ".env"
    try:
        with simulator.serve() as api:
            place = cli(NYLAS_API_URI=api, NYLAS_API_KEY=API_KEY)

            def run(*arguments: str) -> tuple[int, Any]:
                result = place.invoke("webhook", *arguments, "--json")
                return result.exit_code, json.loads(result.stdout)

            assert run("status") == (1, {"ok": False, "webhooks": []})
            simulator.webhooks.refused_triggers = {"message.deleted"}
            code, refused = run("create", url, "--secret-to", str(env))
            assert (code, "message.deleted" in refused["error"]) == (1, True)
            simulator.webhooks.refused_triggers = set()
            code, made = run("create", url, "--secret-to", str(env))
            assert (code, made["status"]) == (0, "active")
            assert dotenv_values(env)["NYLAS_WEBHOOK_SECRET"] == "whsec-sim"
            assert run("create", url)[0] == 1
            code, shown = run("status")
            assert (code, shown["webhooks"][0]["missing_triggers"]) == (0, [])
            code, rotated = run("rotate")
            assert (code, rotated["secret"] != "whsec-sim") == (0, True)
            assert run("activate")[0] == 0
            assert run("delete", "--yes")[0] == 0
            assert run("status")[0] == 1
    finally:
        receiver.stop()
