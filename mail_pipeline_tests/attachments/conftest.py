"""Mailboxes whose messages are stored and whose attachments are not yet."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mail_pipeline_tests.attachments.files import Filed, mailboxes

Serve = Callable[..., Filed]


@pytest.fixture(scope="package")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with the messages of `mailboxes()`; for copying only."""
    data = tmp_path_factory.mktemp("filled") / "data"
    simulator = mailboxes()
    with simulator.serve() as url:
        filed = Filed(simulator, url, data)
        filed.fill()
        filed.close()
    return data


@pytest.fixture
def serve(tmp_path: Path, filled: Path) -> Iterator[Serve]:
    """Serve `mailboxes`, with options of the simulator's, beside a data folder that has their messages."""
    with ExitStack() as stack:

        def start(**options: object) -> Filed:
            simulator = mailboxes(**options)
            data = Path(shutil.copytree(filled, tmp_path / "data"))
            filed = Filed(simulator, stack.enter_context(simulator.serve()), data)
            stack.callback(filed.close)
            return filed

        yield start
