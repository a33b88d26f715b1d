"""`mail-pipeline receive`: what Nylas notifies of, stored as it comes."""

import sys
import threading
from collections.abc import Callable

import click

from mail_pipeline.cli.options import address_options, debug_option, json_option
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import notes, print_json
from mail_pipeline.cli.workplace import find_workplace
from mail_pipeline.inbox import RECEIVER_PATH

_DEFAULT_PORT = 8787


@click.command("receive", short_help="Receive notifications and store them.")
@address_options(_DEFAULT_PORT)
@click.option("--child", is_flag=True, hidden=True, help="End when standard input does.")
@json_option
@debug_option
def command(host: str, port: int, child: bool, as_json: bool) -> None:
    """Receive Nylas' notifications on /webhooks/nylas and store them, until Ctrl-C.

    A notification is answered 200 when it is durable; applying it to the tables is another command's
    work. /healthz says whether notifications can be stored, /metrics how many were. Only /webhooks/nylas
    needs to be reached from outside. NYLAS_WEBHOOK_SECRET holds the webhook's secret, or several with
    commas between them.
    """
    # 0.3 CPU seconds of imports.
    from mail_pipeline.inbox.server import receive

    def announce(url: str, stop: Callable[[], None]) -> None:
        if as_json:
            print_json({"ok": True, "url": url, "webhook": url + RECEIVER_PATH})
        else:
            click.echo(url + RECEIVER_PATH)
        sys.stdout.flush()
        notes().print(f"Receiving on {url}{RECEIVER_PATH}. Ctrl-C ends.")
        if child:
            threading.Thread(target=_stop_with_input, args=(stop,), name="parent", daemon=True).start()

    settings = find_workplace().settings
    with interruptible():
        try:
            receive(settings, host, port, on_ready=announce)
        except KeyboardInterrupt:
            return


def _stop_with_input(stop: Callable[[], None]) -> None:
    sys.stdin.read()
    stop()
