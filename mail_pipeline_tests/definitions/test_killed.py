"""`kill -9` of all of Dagster while notifications come in: nothing is lost, and nothing takes effect twice.

MAIL_PIPELINE_TEST_KILLS=20 kills so often; the default is once.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from mail_pipeline.dagster_home import prepare_dagster_home
from mail_pipeline.ledger import applied_up_to
from mail_pipeline.simulator import Fleet, Limits, MailboxSpec, Simulator
from mail_pipeline_tests.live.world import SECRET, LiveWorld, live_world

KILLS = int(os.environ.get("MAIL_PIPELINE_TEST_KILLS", "1"))
SPECS = [MailboxSpec(provider, messages=10, body_mean=300) for provider in ("google", "microsoft", "ews")]
AT_WORK = dg.RunsFilter(job_name="apply_notifications", statuses=[dg.DagsterRunStatus.STARTED])
CHANGES_EVERY = 0.05
LOOK_EVERY = 0.05
SECONDS = 240

pytestmark = pytest.mark.timeout(60 + SECONDS * (KILLS + 1))


@contextmanager
def dagster(world: LiveWorld, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run daemon, code server and the runs they start, in one process group; kill it at the end."""
    with subprocess.Popen(
        [Path(sys.executable).parent / "dagster-daemon", "run", "-w", "workspace.yaml"],
        cwd=home,
        env={**os.environ, **world.environment(DAGSTER_HOME=str(home))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def life(simulator: Simulator) -> Iterator[None]:
    """Keep changing mail until the block ends."""
    ended = threading.Event()

    def change() -> None:
        steps = simulator.provider.live(seed=3)
        while not ended.wait(CHANGES_EVERY):
            next(steps)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def until(true: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    """Wait until something in another process is so."""
    ticking = threading.Event()
    for _ in range(int(SECONDS / LOOK_EVERY)):
        if true():
            return
        assert process.poll() is None, "Dagster has ended by itself"
        ticking.wait(LOOK_EVERY)
    raise AssertionError(f"not so within {SECONDS} s")


def at_work(instance: dg.DagsterInstance) -> frozenset[str]:
    return frozenset(record.dagster_run.run_id for record in instance.get_run_records(AT_WORK))


def has_begun(instance: dg.DagsterInstance, seen: frozenset[str]) -> bool:
    return bool(at_work(instance) - seen)


def test_killed_under_load_it_loses_nothing_and_applies_everything_once(tmp_path):
    data = tmp_path / "data"
    simulator = Simulator(
        Fleet.generate(4, SPECS), limits=Limits.off(), webhook_secret=SECRET, live=True, irregular=0.0
    )
    with ExitStack() as stack:
        world = stack.enter_context(live_world(simulator, data))
        world.subscribe()
        world.register()
        world.backfill()
        home = prepare_dagster_home(data)
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        landing = stack.enter_context(world.landing())
        with life(simulator):
            for kill in range(KILLS):
                with dagster(world, home) as process:
                    seen = at_work(instance)
                    until(partial(has_begun, instance, seen), process)
                assert at_work(instance), f"kill {kill} left no run behind"
        simulator.postman.stop()
        simulator.postman.drain()

        with dagster(world, home) as process:
            until(
                lambda: (
                    applied_up_to(data) == landing.newest()
                    and not world.ask("SELECT * FROM fetches")
                    and not at_work(instance)
                ),
                process,
            )

        taken = [tried for sent in simulator.notifications for tried in sent.record()["tries"]]
        answered = sum(tried["status"] == 200 for tried in taken)
        assert landing.count() == answered > 0
        numbers = world.ask("SELECT count(*), count(DISTINCT number), max(number) FROM notifications")
        assert numbers == [(answered,) * 3]
        assert world.wrong() == {}
        ended = {record.dagster_run.status for record in instance.get_run_records()}
        assert dg.DagsterRunStatus.FAILURE in ended, "the run that was killed is no longer waited for"
