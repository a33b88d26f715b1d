"""`mail-pipeline webhook`: where Nylas sends its notifications, and the secret that signs them."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from mail_pipeline.cli.options import debug_option, json_option
from mail_pipeline.cli.receiver_url import is_receivers, receiver_url, same_address
from mail_pipeline.cli.secret_file import VARIABLE, add_secret, check_secret_file
from mail_pipeline.cli.terminal import notes, print_json, print_table, results
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.errors import StopRun
from mail_pipeline.nylas import TRIGGERS, Limits, NylasClient, Webhook
from mail_pipeline.nylas.triggers import without as leaving_out

_PATIENCE_SECONDS = 30.0
_CREATE_STEP = "Make one: `mail-pipeline webhook create https://…/webhooks/nylas`."

_Command = TypeVar("_Command", bound=Callable[..., Any])


_id_argument = click.argument("webhook_id", metavar="[ID]", required=False)


def _secret_option(command: _Command) -> _Command:
    return click.option(
        "--secret-to",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="PATH",
        help=f"Store the secret there instead of showing it. In a `.env`, {VARIABLE} gets it, before the "
        "secrets it has.",
    )(command)


def _without_option(command: _Command) -> _Command:
    return click.option(
        "--without",
        multiple=True,
        type=click.Choice(TRIGGERS),
        metavar="TRIGGER",
        help="A trigger to do without, such as message.deleted where the application does not have it; "
        "may be repeated.",
    )(command)


@click.group("webhook", short_help="Say where Nylas sends its notifications.")
def command() -> None:
    """Make and look after the webhook through which Nylas notifies the receiver.

    One webhook serves all accounts of the application. An ID may be left out where it is clear which one is
    meant: there is one webhook, or one whose address ends in /webhooks/nylas.
    """


@command.command("create", short_help="Make a webhook for the receiver at URL.")
@click.argument("url", callback=receiver_url)
@_secret_option
@_without_option
@click.option("--email", "emails", multiple=True, help="Told by Nylas when deliveries fail; may be repeated.")
@click.option("--compressed/--no-compressed", default=True, show_default=True, help="Deliveries in gzip.")
@click.option("--description", default="mail_pipeline", show_default=True, help="As Nylas shows it.")
@json_option
@debug_option
def create(
    url: str,
    secret_to: Path | None,
    without: tuple[str, ...],
    emails: tuple[str, ...],
    compressed: bool,
    description: str,
    as_json: bool,
) -> None:
    """Let Nylas notify the receiver at URL, with all triggers that a mirror needs.

    Start `mail-pipeline receive` first: Nylas asks it for a challenge at once. The secret is shown this one
    time; the receiver needs it in NYLAS_WEBHOOK_SECRET, and until then Nylas keeps trying for 20 minutes.
    """
    with _open_client(secret_to) as client:
        for webhook in client.webhooks():
            if same_address(webhook.url, url):
                raise StopRun(
                    f"This address has a webhook already: {webhook.id}, {webhook.status}",
                    next_step="`mail-pipeline webhook status` tells more, `webhook activate` wakes it, and "
                    "`webhook rotate` gives it a new secret.",
                )
        notes().print("Nylas now asks the receiver for its challenge, for up to 10 s.")
        webhook = client.create_webhook(
            url,
            leaving_out(TRIGGERS, without),
            description=description,
            emails=emails,
            compressed=compressed,
        )
    _tell_secret(webhook, "made", secret_to, as_json=as_json)


@command.command("rotate")
@_id_argument
@_secret_option
@json_option
@debug_option
def rotate(webhook_id: str | None, secret_to: Path | None, as_json: bool) -> None:
    """Give a webhook a new secret.

    Nylas signs with it from now on. A receiver that does not know it refuses what comes, and Nylas does not
    send that again: stop the receiver before, and start it with the new secret after. Nylas keeps trying for
    20 minutes. Leave the old secret in place for that long; --secret-to does.
    """
    with _open_client(secret_to) as client:
        webhook = client.rotate_webhook_secret(_choose(client, webhook_id).id)
    _tell_secret(webhook, "given a new secret", secret_to, as_json=as_json)


@command.command("status", short_help="Show the webhooks and what they lack.")
@_without_option
@json_option
@debug_option
def status(without: tuple[str, ...], as_json: bool) -> None:
    """Show all webhooks of the application, what each lacks, and the next step.

    Exit code 1 when none is active with all triggers that a mirror needs.
    """
    with _open_client() as client:
        webhooks = client.webhooks()
    lacking = {webhook.id: leaving_out(webhook.missing, without) for webhook in webhooks}
    ok = any(webhook.status == "active" and not lacking[webhook.id] for webhook in webhooks)
    steps = {webhook.id: _next_step(webhook, lacking[webhook.id]) for webhook in webhooks}
    if as_json:
        shown = [
            {**_as_dict(each), "missing_triggers": lacking[each.id], "next_step": steps[each.id]}
            for each in webhooks
        ]
        print_json({"ok": ok, "webhooks": shown})
    elif webhooks:
        console = results()
        columns = ["id", "address", "status", "since", "missing triggers"]
        rows = [
            (each.id, each.url, each.status, _since(each), ", ".join(lacking[each.id])) for each in webhooks
        ]
        print_table(console, "", columns, rows)
        for webhook in webhooks:
            if steps[webhook.id]:
                console.print(f"{webhook.id}: {steps[webhook.id]}")
    else:
        click.echo(f"There is no webhook. {_CREATE_STEP}")
    sys.exit(0 if ok else 1)


@command.command("activate", short_help="Let Nylas send again.")
@_id_argument
@click.option("--add-triggers", is_flag=True, help="Also ask for the triggers it lacks for a mirror.")
@_without_option
@json_option
@debug_option
def activate(webhook_id: str | None, add_triggers: bool, without: tuple[str, ...], as_json: bool) -> None:
    """Let Nylas send again to a webhook that failed or was paused.

    The receiver has to be up: Nylas asks it for a challenge. What was not sent meanwhile is not sent later.
    """
    if without and not add_triggers:
        raise click.UsageError("--without goes with --add-triggers.")
    with _open_client() as client:
        webhook = _choose(client, webhook_id)
        if add_triggers:
            triggers = (*webhook.triggers, *leaving_out(webhook.missing, without))
            webhook = client.update_webhook(webhook.id, triggers=triggers, status="active")
        else:
            webhook = client.activate_webhook(webhook.id)
    ok = webhook.status == "active"
    if as_json:
        print_json({"ok": ok, **_as_dict(webhook)})
    else:
        click.echo(f"The webhook {webhook.id} is {webhook.status or 'changed'}.")
    sys.exit(0 if ok else 1)


@command.command("delete", short_help="Delete a webhook.")
@_id_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@debug_option
def delete(webhook_id: str | None, yes: bool, as_json: bool) -> None:
    """Delete a webhook: Nylas notifies it of nothing more."""
    if as_json and not yes:
        raise click.UsageError("--json does not ask: give --yes too.")
    with _open_client() as client:
        webhook = _choose(client, webhook_id)
        if not yes:
            click.confirm(f"Delete the webhook {webhook.id} for {webhook.url}?", abort=True, err=True)
        client.delete_webhook(webhook.id)
    if as_json:
        print_json({"ok": True, **_as_dict(webhook)})
    else:
        click.echo(f"The webhook {webhook.id} is deleted. Its secret is of no more use.")


@contextmanager
def _open_client(secret_to: Path | None = None) -> Iterator[NylasClient]:
    settings = find_workplace().settings
    settings.require_key()
    if secret_to:
        check_secret_file(secret_to)
    limits = Limits(patience=_PATIENCE_SECONDS)
    with NylasClient(settings.api_key, settings.api_uri, limits=limits) as client:
        yield client


def _choose(client: NylasClient, webhook_id: str | None) -> Webhook:
    """Return the webhook of this id, or without an id the only one that can be meant."""
    webhooks = client.webhooks()
    if not webhooks:
        raise StopRun("There is no webhook", next_step=_CREATE_STEP)
    if webhook_id is not None:
        found = [each for each in webhooks if each.id == webhook_id]
    else:
        found = webhooks if len(webhooks) == 1 else [each for each in webhooks if is_receivers(each.url)]
    if len(found) == 1:
        return found[0]
    wrong = f"There is no webhook {webhook_id}" if webhook_id else "There are several webhooks"
    named = ", ".join(f"{each.id} ({each.url})" for each in webhooks)
    raise StopRun(wrong, next_step=f"Give the ID of one of these: {named}.")


def _tell_secret(webhook: Webhook, done: str, secret_to: Path | None, *, as_json: bool) -> None:
    if webhook.secret is None:
        raise StopRun(
            f"The webhook {webhook.id} was {done}, but Nylas' answer held no secret",
            next_step=f"`mail-pipeline webhook rotate {webhook.id}` asks for another one.",
        )
    older = None
    if secret_to:
        try:
            older = add_secret(secret_to, webhook.secret)
        except StopRun as error:
            raise StopRun(
                f"The webhook {webhook.id} was {done}, but {error.message}",
                next_step=f"`mail-pipeline webhook rotate {webhook.id}` brings another secret.",
            ) from None
    if as_json:
        shown = {"secret_to": secret_to.absolute()} if secret_to else {"secret": webhook.secret}
        print_json({"ok": True, **_as_dict(webhook), **shown})
        return
    count = len(webhook.triggers)
    click.echo(f"The webhook {webhook.id} was {done}. It is {webhook.status}, with {count} triggers.")
    if secret_to:
        click.echo(f"Its secret is in {secret_to}{', before the older ones' if older else ''}.")
    else:
        click.echo(f"{VARIABLE}={webhook.secret}")
        notes().print("Keep this secret, in `.env` for instance: it is not shown again.")
    notes().print("Restart `mail-pipeline receive`, so that it knows the secret.")


def _next_step(webhook: Webhook, lacking: Sequence[str]) -> str:
    activate = f"`mail-pipeline webhook activate {webhook.id}`"
    unsent = "What it was not sent meanwhile is fetched by `mail-pipeline reconcile`."
    if webhook.status == "failing":
        return (
            f"Nylas gets no 200 from the receiver and gives up after 72 h. Bring it back (its /healthz says "
            f"what is wrong), then {activate}. {unsent}"
        )
    if webhook.status == "failed":
        return f"Nylas gave up: nothing is sent. Bring the receiver back, then {activate}. {unsent}"
    if webhook.status == "paused":
        return f"Nothing is sent. Start the receiver, then {activate}. {unsent}"
    if webhook.status != "active":
        return "This status is not known here: look the webhook up in the Nylas dashboard."
    return f"{activate} --add-triggers asks for what is missing." if lacking else ""


def _since(webhook: Webhook) -> str:
    moment = webhook.status_updated_at or webhook.created_at
    return "" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _as_dict(webhook: Webhook) -> dict[str, Any]:
    shown = asdict(webhook)
    del shown["secret"]
    for name in ("status_updated_at", "created_at", "updated_at"):
        if shown[name] is not None:
            shown[name] = datetime.fromtimestamp(shown[name], UTC)
    return shown
