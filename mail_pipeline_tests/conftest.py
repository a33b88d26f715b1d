"""What all tests stand on: a clean environment, examples that are the same each time, a lake to write to."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mail_pipeline.lake.writer import Lake

settings.register_profile(
    "house",
    # How long an example takes says something about the machine, not about the code.
    deadline=None,
    derandomize=True,
    max_examples=30,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# To look for new examples: pytest --hypothesis-profile=search
settings.register_profile("search", settings.get_profile("house"), derandomize=False, max_examples=2_000)
settings.load_profile("house")


_LONG = (
    "live/test_life",
    "backfill/test_quota",
    "backfill/test_kills",
    "ui/test_in_a_browser",
    "definitions/test_killed",
    "live/test_kills",
    "cli/test_demo",
    "live/test_order",
    "ui/test_live_in_a_browser",
    "benchmarks/",
    "live/",
    "backfill/",
)
"""Files that take long, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that the workers end together."""

    def rank(item: pytest.Item) -> int:
        return next((place for place, name in enumerate(_LONG) if name in item.nodeid), len(_LONG))

    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        for name in os.environ:
            if name.startswith(("NYLAS_", "MAIL_PIPELINE_", "DAGSTER_")):
                environment.delenv(name)
        yield


@pytest.fixture(scope="session")
def empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a lake that nothing has been written to; for copying only."""
    folder = tmp_path_factory.mktemp("empty-lake") / "data"
    Lake(folder).close()
    return folder


@pytest.fixture
def data(tmp_path: Path, empty_lake: Path) -> Path:
    """Return the test's own data folder, with an empty lake in it."""
    return Path(shutil.copytree(empty_lake, tmp_path / "data"))


@pytest.fixture
def lake(data: Path) -> Iterator[Lake]:
    """Open the test's own lake for writing."""
    with Lake(data) as lake:
        yield lake
