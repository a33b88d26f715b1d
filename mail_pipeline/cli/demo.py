"""`mail-pipeline demo`: everything at once, on this machine, without an account."""

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from mail_pipeline.cli.answers import first_answers, print_answers
from mail_pipeline.cli.children import Children
from mail_pipeline.cli.fill import Choice, Filled, fill
from mail_pipeline.cli.mirror import STREAMS, mirror
from mail_pipeline.cli.options import address_options, debug_option, json_option
from mail_pipeline.cli.services import (
    CHANGES_PER_SECOND,
    DEFAULT_PORT,
    UiRunsAlready,
    running_ui,
    start_receiver,
    start_simulator,
    subscribe,
)
from mail_pipeline.cli.signals import interruptible
from mail_pipeline.cli.terminal import notes, print_json, results
from mail_pipeline.cli.workplace import Workplace, find_workplace
from mail_pipeline.errors import MailPipelineError


@click.command("demo", short_help="Everything at once, without an account.")
@click.option(
    "--headless",
    is_flag=True,
    help="No UI: backfill, print the answers, make the marts, leave.",
)
@address_options(DEFAULT_PORT)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same simulated mail.")
@json_option
@debug_option
def command(headless: bool, host: str, port: int, seed: int, as_json: bool) -> None:
    """Fill mailboxes while you watch in the Dagster UI, and print first answers.

    Without NYLAS_API_KEY the mailboxes are simulated, one of each kind of provider, and stored in data/demo.
    With it they are your own, stored in data/. The UI then runs until Ctrl-C.
    """
    filled: Filled | None = None
    with interruptible():
        try:
            with ExitStack() as stack:
                children = stack.enter_context(Children())
                place = _place(children, seed, live=not headless)
                home = place.enter()
                if place.simulated and not headless:
                    # Before the first page, so that nothing falls between.
                    subscribe(place, start_receiver(children, place, "127.0.0.1", 0))
                url = None if headless else _ui(stack, children, home, host, port)
                filled = fill(place, lambda active: Choice(tuple(active)), check=children.check)
                _tell(place, filled, as_json=as_json)
                if filled.messages and not filled.cancelled:
                    notes().print("\nNow the tables for analysts.")
                    _make_marts(place.data)
                if url is not None and not filled.cancelled:
                    notes().print("\nNow contacts, calendars and events (iCloud gives half a year at once).")
                    mirror(place, (), STREAMS, refresh=False)
                    if place.simulated:
                        notes().print("\nMail keeps arriving: watch the asset message_updates in the UI.")
                    notes().print(f"\nThe Dagster UI stays until Ctrl-C: {url}")
                    notes().print("The notebook, in another terminal: make notebook")
                    children.wait()
        except KeyboardInterrupt:
            notes().print("Stopped.")
    sys.exit(0 if filled is not None and filled.succeeded else 1)


def _place(children: Children, seed: int, *, live: bool) -> Workplace:
    place = find_workplace()
    if place.settings.api_key:
        notes().print(f"NYLAS_API_KEY is set: real mail, from {place.settings.api_uri}.")
        return place
    notes().print("NYLAS_API_KEY is not set: simulated mailboxes.")
    return start_simulator(children, place, seed=seed, changes_per_second=CHANGES_PER_SECOND if live else 0.0)


def _ui(stack: ExitStack, children: Children, home: Path, host: str, port: int) -> str | None:
    try:
        url = stack.enter_context(running_ui(children, home, host, port))
    except UiRunsAlready as running:
        notes().print(running.message)
        return None
    notes().print(f"The Dagster UI starts: {url}")
    return url


def _make_marts(data: Path) -> None:
    # The daemon would come to it within minutes; whoever opens the notebook now is not to find it empty.
    import dagster as dg

    from mail_pipeline import launch
    from mail_pipeline.dagster_home import dagster_errors

    try:
        with dagster_errors(data), dg.DagsterInstance.get() as instance:
            launch.refresh_marts(instance)
    except MailPipelineError as error:
        notes().print(f"They come later: {error}")


def _tell(place: Workplace, filled: Filled, *, as_json: bool) -> None:
    answers = first_answers(place.data)
    if as_json:
        print_json({**filled.as_dict(), "data": place.data, "answers": answers})
        return
    print_answers(results(), answers)
    filled.tell(results())
