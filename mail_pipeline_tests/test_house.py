"""How the house is built: who may know whom, and how much fits into one room."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mail_pipeline

PACKAGE = Path(mail_pipeline.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 350

HTTP = {"requests", "urllib3", "httpx", "nylas"}
WIRING = {"dagster", "dagster_webserver"}
OURS = "mail_pipeline."
MAY_NOT_IMPORT = {
    "lake": {
        *HTTP,
        *WIRING,
        *(OURS + name for name in ("nylas", "subset", "sync", "marts", "search", "simulator", "cli")),
    },
    "nylas": {
        *WIRING,
        *(OURS + name for name in ("lake", "subset", "sync", "marts", "search", "simulator", "cli")),
    },
    "subset": {*WIRING, *(OURS + name for name in ("lake", "inbox", "sync", "marts", "simulator", "cli"))},
    "inbox": {
        *HTTP,
        *WIRING,
        *(OURS + name for name in ("nylas", "lake", "sync", "marts", "search", "simulator", "cli")),
    },
    "sync": {*WIRING, *(OURS + name for name in ("marts", "search", "simulator", "cli"))},
    "marts": {*HTTP, *WIRING, *(OURS + name for name in ("nylas", "sync", "inbox", "simulator", "cli"))},
    "search": {*HTTP, *WIRING, *(OURS + name for name in ("nylas", "sync", "simulator", "cli"))},
    "simulator": {*WIRING, "nylas", *(OURS + name for name in ("lake", "nylas", "sync", "cli", "settings"))},
}


def name_of(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


def imports(module: Path) -> Iterator[str]:
    """Yield what a module imports, anywhere in it, as dotted names."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name_of(module)} imports relatively"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("room", MAY_NOT_IMPORT)
def test_nothing_imports_backwards(room: str) -> None:
    found = {
        f"{name_of(module)}: {name}"
        for module in MODULES
        if PACKAGE / room in module.parents
        for name in imports(module)
    }
    assert found
    backwards = {
        line for line in found for name in MAY_NOT_IMPORT[room] if within(line.partition(": ")[2], name)
    }
    assert backwards == set()


def test_what_every_room_stands_on_knows_none_of_them() -> None:
    for name in ("errors.py", "settings.py", "disk.py"):
        rooms = {name.split(".")[1] for name in imports(PACKAGE / name) if name.startswith(OURS)}
        assert rooms <= {"errors"}


def test_only_sync_knows_both_the_api_and_the_lake() -> None:
    both = set()
    for module in MODULES:
        found = set(imports(module))
        if all(any(within(name, OURS + room) for name in found) for room in ("nylas", "lake")):
            both.add(name_of(module))

    # The doctor looks at each by itself.
    assert {name for name in both if not name.startswith("sync/")} <= {"cli/doctor.py"}


def test_dagsters_private_modules_are_left_alone() -> None:
    private = {
        f"{name_of(module)}: {name}"
        for module in MODULES
        for name in imports(module)
        if name.partition(".")[0].startswith("dagster") and any(part[0] == "_" for part in name.split("."))
    }
    assert private == set()


def test_no_log_repeats_what_an_error_says() -> None:
    # It may quote mail; `errors.traced` says where it comes from.
    texts = {name_of(module): module.read_text() for module in MODULES}
    assert {name for name, text in texts.items() if "exc_info" in text or "_log.exception" in text} == set()


def test_every_module_fits_into_a_readers_head() -> None:
    lines = {name_of(module): len(module.read_text().splitlines()) for module in MODULES}

    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_the_public_surface_is_one_function() -> None:
    assert mail_pipeline.__all__ == ["connect"]
