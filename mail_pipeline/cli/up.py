"""`mail-pipeline up`: UI, daemon and receiver, until Ctrl-C."""

import click

from mail_pipeline.cli.children import Children
from mail_pipeline.cli.options import address_options, debug_option
from mail_pipeline.cli.services import (
    CHANGES_PER_SECOND,
    DEFAULT_PORT,
    RECEIVER_PORT,
    running_ui,
    start_receiver,
    start_simulator,
    subscribe,
)
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import notes
from mail_pipeline.cli.workplace import Workplace, find_workplace


@click.command("up", short_help="Run the Dagster UI, its daemon and the receiver.")
@click.option(
    "--simulate",
    is_flag=True,
    help="With simulated mailboxes in which mail keeps arriving, stored in data/demo.",
)
@click.option(
    "--receiver-port",
    type=click.IntRange(0, 65535),
    default=RECEIVER_PORT,
    show_default=True,
    help="Port on which notifications are received.",
)
@address_options(DEFAULT_PORT)
@debug_option
def command(simulate: bool, receiver_port: int, host: str, port: int) -> None:
    """Run the Dagster UI, its daemon, which runs schedules and sensors, and the receiver, until Ctrl-C.

    The UI passes a port that is taken over for the next one that is free; the receiver does not, since
    something outside sends to it.
    """
    with interruptible():
        try:
            with Children() as children:
                place = _place(children, simulate=simulate)
                home = place.enter()
                if simulate:
                    subscribe(place, start_receiver(children, place, host, 0))
                elif place.settings.api_key:
                    address = start_receiver(children, place, host, receiver_port)
                    notes().print(f"Notifications are received on {address}")
                with running_ui(children, home, host, port) as url:
                    notes().print(f"The Dagster UI starts: {url}\nCtrl-C stops it.")
                    children.wait()
        except KeyboardInterrupt:
            notes().print("Stopped.")


def _place(children: Children, *, simulate: bool) -> Workplace:
    place = find_workplace()
    if simulate:
        return start_simulator(children, place, changes_per_second=CHANGES_PER_SECOND)
    if place.settings.api_key:
        return place
    notes().print(
        "NYLAS_API_KEY is not set: what is stored can be seen, but nothing can be fetched. "
        "Set it, or use --simulate."
    )
    return place.for_reading()
