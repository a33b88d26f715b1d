"""`mail-pipeline simulate`: a Nylas v3 server on this machine, with generated mail or your own."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from mail_pipeline.cli.options import address_options, debug_option, json_option
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import notes, print_json
from mail_pipeline.errors import StopRun
from mail_pipeline.simulator import API_KEY, PROVIDERS, Faults, Fleet, MailboxSpec, Simulator


@click.command("simulate", short_help="Serve simulated mailboxes as Nylas would.")
@address_options(8123)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same mail.")
@click.option(
    "--mailbox",
    "mailboxes",
    multiple=True,
    metavar="PROVIDER=COUNT",
    help=f"A mailbox with so many messages; may be repeated. Providers: {', '.join(PROVIDERS)}. "
    "Without any, one of each kind.",
)
@click.option("--contacts", type=click.IntRange(0), help="Contacts of each --mailbox.")
@click.option("--calendars", type=click.IntRange(0), help="Calendars of each --mailbox.")
@click.option("--events", type=click.IntRange(0), help="Events of each --mailbox, in all its calendars.")
@click.option(
    "--mbox",
    "paths",
    multiple=True,
    type=click.Path(exists=True, resolve_path=True, path_type=Path),
    help="Your own mail: an mbox file, a folder of them, or a maildir. Read, never written; may be repeated.",
)
@click.option(
    "--faults",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the requests that go wrong, in ways a repeated request cures.",
)
@click.option(
    "--log",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="File that gets each request as a line of JSON.",
)
@click.option(
    "--live",
    "rate",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="How many changes a second happen: mail arrives, is read, moved and deleted; contacts and events "
    "come, change and go.",
)
@click.option("--webhook-secret", help="What new webhooks are signed with; made from the seed unless given.")
@click.option("--child", is_flag=True, hidden=True, help="End when standard input does.")
@json_option
@debug_option
def command(
    host: str,
    port: int,
    seed: int,
    mailboxes: tuple[str, ...],
    contacts: int | None,
    calendars: int | None,
    events: int | None,
    paths: tuple[Path, ...],
    faults: float,
    log: Path | None,
    rate: float,
    webhook_secret: str | None,
    child: bool,
    as_json: bool,
) -> None:
    """Serve simulated mailboxes as Nylas would, until Ctrl-C.

    Prints NYLAS_API_URI and NYLAS_API_KEY; with these two in its environment every command works on the
    simulator. Webhooks created there are told of every change.
    """
    if not mailboxes and (contacts, calendars, events) != (None, None, None):
        raise click.UsageError("--contacts, --calendars and --events need a --mailbox to belong to.")
    beside = MailboxSpec(
        contacts=MailboxSpec.contacts if contacts is None else contacts,
        calendars=MailboxSpec.calendars if calendars is None else calendars,
        events=MailboxSpec.events if events is None else events,
    )
    fleet = _fleet(seed, mailboxes, beside, paths)
    simulator = Simulator(
        fleet, faults=Faults(rate=faults, seed=seed), log_file=log, webhook_secret=webhook_secret, live=True
    )
    try:
        with interruptible(), simulator.serve(host, port) as url, _changing(simulator, rate):
            if as_json:
                print_json({"ok": True, "NYLAS_API_URI": url, "NYLAS_API_KEY": API_KEY, "grants": len(fleet)})
            else:
                click.echo(f"export NYLAS_API_URI={url}\nexport NYLAS_API_KEY={API_KEY}")
            notes().print(f"Serving {len(fleet)} mailboxes on {url}. Ctrl-C ends.")
            if child:
                sys.stdin.read()
            else:
                threading.Event().wait()
    except KeyboardInterrupt:
        return
    except OSError as error:
        raise StopRun(
            f"The simulator cannot listen on {host}:{port} ({error.strerror})",
            next_step="Choose another --port; 0 takes a free one.",
        ) from None


@contextmanager
def _changing(simulator: Simulator, rate: float) -> Iterator[None]:
    """Make so many random changes a second for as long as the block lasts."""
    ended = threading.Event()

    def change() -> None:
        # A folder deleted while it is being listed would fail its mailbox, rightly and to nobody's use.
        streams = ("messages", "contacts", "calendars", "events")
        steps = simulator.provider.live(simulator.fleet.seed, folders=False, streams=streams)
        while not ended.wait(1 / rate):
            next(steps, None)

    thread = threading.Thread(target=change, name="live", daemon=True)
    if rate:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if rate:
            thread.join()


def _fleet(seed: int, mailboxes: tuple[str, ...], beside: MailboxSpec, paths: tuple[Path, ...]) -> Fleet:
    if mailboxes and paths:
        raise click.UsageError("--mailbox and --mbox do not go together: run two simulators.")
    if paths:
        try:
            return Fleet.from_mail(paths)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--mbox") from None
    if not mailboxes:
        return Fleet.demo(seed)
    return Fleet.generate(seed, [_spec(text, beside) for text in mailboxes])


def _spec(text: str, beside: MailboxSpec) -> MailboxSpec:
    provider, _, count = text.partition("=")
    if provider not in PROVIDERS or not count.isdecimal():
        raise click.BadParameter(
            f"{text!r}: expected a provider and a number, such as imap=500; providers are "
            f"{', '.join(PROVIDERS)}.",
            param_hint="--mailbox",
        )
    return replace(beside, provider=provider, messages=int(count))
