"""`mail-pipeline up`: the services, until Ctrl-C."""

import click

from mail_pipeline.cli.children import Children
from mail_pipeline.cli.options import address_options, debug_option
from mail_pipeline.cli.services import DEFAULT_PORT, running_ui, start_simulator
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import notes
from mail_pipeline.cli.workplace import Workplace, find_workplace


@click.command("up", short_help="Run the Dagster UI and its daemon.")
@click.option("--simulate", is_flag=True, help="With simulated mailboxes, stored in data/demo.")
@address_options(DEFAULT_PORT)
@debug_option
def command(simulate: bool, host: str, port: int) -> None:
    """Run the Dagster UI and its daemon, which runs schedules and sensors, until Ctrl-C.

    A port that is taken is passed over for the next one that is free.
    """
    with interruptible():
        try:
            with Children() as children:
                home = _place(children, simulate=simulate).enter()
                with running_ui(children, home, host, port) as url:
                    notes().print(f"The Dagster UI starts: {url}\nCtrl-C stops it.")
                    children.wait()
        except KeyboardInterrupt:
            notes().print("Stopped.")


def _place(children: Children, *, simulate: bool) -> Workplace:
    place = find_workplace()
    if simulate:
        return start_simulator(children, place)
    if place.settings.api_key:
        return place
    notes().print(
        "NYLAS_API_KEY is not set: what is stored can be seen, but nothing can be fetched. "
        "Set it, or use --simulate."
    )
    return place.for_reading()
