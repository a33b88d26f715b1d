"""`mail-pipeline doctor`: is everything in place, and what to do where it is not."""

import importlib.metadata
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import click
import duckdb
from filelock import FileLock, Timeout
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from mail_pipeline.cli.accounts import unread_accounts
from mail_pipeline.cli.options import debug_option, json_option
from mail_pipeline.cli.terminal import print_json, print_table, results
from mail_pipeline.cli.workplace import Workplace, find_workplace
from mail_pipeline.errors import MailPipelineError
from mail_pipeline.lake import schema
from mail_pipeline.lake.connection import catalog_path, connect, open_duckdb
from mail_pipeline.lake.migrations import version_of
from mail_pipeline.nylas import KeyRejected, NylasClient
from mail_pipeline.subset import read_subsets

_DISTRIBUTION = "mail-pipeline"
_LITTLE_SPACE = 5 * 10**9
_NO_SPACE = 5 * 10**8
_LOCK_SECONDS = 5.0


class Verdict(StrEnum):
    """What a check found; only FAIL makes the exit code 1."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    message: str
    next_step: str = ""


@click.command("doctor", short_help="Check that everything is in place.")
@json_option
@debug_option
def command(as_json: bool) -> None:
    """Check the installation, the data folder, the key and the address; change nothing.

    Exit code 1 when a check fails; a warning is no failure.
    """
    place = find_workplace()
    read = place.for_reading().data
    disk = [*_data_folder(place.data)]
    # On a disk that is full or cannot be written to, what is sound may not open either.
    sound = all(finding.verdict is not Verdict.FAIL for finding in disk)
    findings = [
        _python(),
        *_packages(),
        _extensions(),
        _project(place),
        *disk,
        *(finding if sound else _not_judged(finding) for finding in _lake(read)),
        _configuration(place),
        *_nylas(place),
        *(finding if sound else _not_judged(finding) for finding in [_dagster_home(read)]),
    ]
    ok = all(finding.verdict is not Verdict.FAIL for finding in findings)
    if as_json:
        print_json({"ok": ok, "checks": [asdict(finding) for finding in findings]})
    else:
        console = results()
        print_table(console, "", ["", "", ""], [(each.verdict, each.name, each.message) for each in findings])
        for finding in findings:
            if finding.next_step:
                console.print(f"{finding.name}: {finding.next_step}")
    sys.exit(0 if ok else 1)


def _not_judged(finding: Finding) -> Finding:
    if finding.verdict is not Verdict.FAIL:
        return finding
    return Finding(
        finding.name,
        Verdict.WARN,
        "could not be looked at: mend what is said of the disk first",
    )


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = importlib.metadata.metadata(_DISTRIBUTION)["Requires-Python"]
    if version in SpecifierSet(wanted):
        return Finding("Python", Verdict.OK, version)
    return Finding(
        "Python",
        Verdict.FAIL,
        f"{version}, but {wanted} is needed",
        "Install such a Python and run make install.",
    )


def _packages() -> Iterator[Finding]:
    wrong = []
    for text in importlib.metadata.requires(_DISTRIBUTION) or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{requirement} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, needed: {requirement.specifier}")
    own = importlib.metadata.version(_DISTRIBUTION)
    if wrong:
        yield Finding("Packages", Verdict.FAIL, "; ".join(wrong), "Run make install.")
    else:
        yield Finding("Packages", Verdict.OK, f"mail_pipeline {own} and all it needs")


def _extensions() -> Finding:
    try:
        open_duckdb().close()
    except MailPipelineError as error:
        return Finding("DuckDB extensions", Verdict.FAIL, error.message, error.next_step)
    except duckdb.Error as error:
        return Finding("DuckDB extensions", Verdict.FAIL, str(error), "Run make install.")
    return Finding("DuckDB extensions", Verdict.OK, f"load into DuckDB {duckdb.__version__}")


def _project(place: Workplace) -> Finding:
    if place.root is not None:
        return Finding("Project", Verdict.OK, str(place.root))
    return Finding(
        "Project",
        Verdict.WARN,
        f"No project here nor where the package is installed; {Path.cwd()} counts as its folder",
        "Change to a checkout of mail_pipeline if you have one; its `.env` and data/ are used then.",
    )


def _configuration(place: Workplace) -> Finding:
    name = "Configuration"
    config = place.settings.config
    try:
        subsets = read_subsets(place.settings)
    except MailPipelineError as error:
        return Finding(name, Verdict.FAIL, error.message.strip(), error.next_step)
    if config is None or subsets.everything:
        return Finding(name, Verdict.OK, "everything is mirrored")
    return Finding(name, Verdict.OK, f"{config} says what is mirrored")


def _data_folder(data: Path) -> Iterator[Finding]:
    step = "Choose a folder this user can write to with MAIL_PIPELINE_DATA."
    existing = next(folder for folder in (data, *data.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        yield Finding("Data folder", Verdict.FAIL, f"{data} cannot be written ({error.strerror})", step)
        return
    yield Finding("Data folder", Verdict.OK, str(data) if existing == data else f"{data}, not made yet")
    verdict = Verdict.FAIL if free < _NO_SPACE else Verdict.WARN if free < _LITTLE_SPACE else Verdict.OK
    yield Finding(
        "Free space",
        verdict,
        f"{free / 1e9:,.1f} GB",
        "" if verdict is Verdict.OK else "Free some, or choose another disk with MAIL_PIPELINE_DATA.",
    )


def _lake(data: Path) -> Iterator[Finding]:
    if not catalog_path(data).exists():
        yield Finding("Lake", Verdict.OK, "none yet; the first backfill makes it")
        return
    try:
        with connect(data) as connection:
            version = version_of(connection)
            known = version <= schema.VERSION
            unread = unread_accounts(connection) if known else None
    except MailPipelineError as error:
        said = f"{catalog_path(data)} does not open: {error.message}"
        yield Finding("Lake", Verdict.FAIL, said, error.next_step)
        return
    except duckdb.Error as error:
        said = f"{catalog_path(data)} does not open: {error}"
        yield Finding("Lake", Verdict.FAIL, said, "Restore the folder.")
        return
    if not known:
        yield Finding(
            "Lake",
            Verdict.FAIL,
            f"{data} was written by a newer mail_pipeline: version {version}, known here {schema.VERSION}",
            "Update mail_pipeline, or set MAIL_PIPELINE_DATA to another folder.",
        )
    else:
        yield Finding("Lake", Verdict.OK, f"{data}, version {version}")
    if unread:
        yield Finding("Accounts", Verdict.WARN, str(unread), unread.next_step)
    yield _write_lock(data)


def _write_lock(data: Path) -> Finding:
    path = data / "lake" / "write.lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout:
        return Finding(
            "Write lock",
            Verdict.WARN,
            f"held by another process for more than {_LOCK_SECONDS:.0f} s",
            "An upkeep or a large commit may hold it a while; otherwise look for a stopped mail-pipeline or "
            f"dagster process (`lsof {path}` names it).",
        )
    except OSError as error:
        return Finding("Write lock", Verdict.FAIL, f"{path} cannot be used ({error.strerror})")
    lock.release()
    return Finding("Write lock", Verdict.OK, "free, or held only for moments")


def _nylas(place: Workplace) -> Iterator[Finding]:
    settings = place.settings
    if not settings.api_key:
        yield Finding(
            "Nylas key",
            Verdict.WARN,
            "NYLAS_API_KEY is not set",
            "Set it for real mail, in the environment or in `.env`; `mail-pipeline demo` needs none.",
        )
        return
    try:
        client = NylasClient(settings.api_key, settings.api_uri)
    except KeyRejected as error:
        yield Finding("Nylas address", Verdict.WARN, f"{settings.api_uri} was not asked for want of a key")
        yield Finding("Nylas key", Verdict.FAIL, error.message, error.next_step)
        return
    except MailPipelineError as error:
        yield Finding("Nylas address", Verdict.FAIL, error.message, error.next_step)
        yield Finding("Nylas key", Verdict.WARN, "set, but could not be tried")
        return
    try:
        with client:
            client.check()
    except KeyRejected as error:
        yield Finding("Nylas address", Verdict.OK, f"{settings.api_uri} answers")
        yield Finding("Nylas key", Verdict.FAIL, error.message, error.next_step)
    except MailPipelineError as error:
        yield Finding("Nylas address", Verdict.FAIL, error.message, error.next_step)
        yield Finding("Nylas key", Verdict.WARN, "set, but could not be tried")
    else:
        yield Finding("Nylas address", Verdict.OK, f"{settings.api_uri} answers")
        yield Finding("Nylas key", Verdict.OK, "accepted")


def _dagster_home(data: Path) -> Finding:
    home = data / "dagster"
    if not (home / "dagster.yaml").exists():
        return Finding("Dagster home", Verdict.OK, f"{home}, not made yet")
    # Dagster takes 2 CPU seconds to import; here alone it is worth that.
    import dagster as dg

    from mail_pipeline.dagster_home import dagster_error

    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            runs = instance.get_runs_count()
    except Exception as error:
        known = dagster_error(error, data)
        said = f"{home} does not open ({type(error).__name__})" if known is None else known.message
        step = "Move it away: it holds the history of runs, no mail, and is made anew."
        return Finding("Dagster home", Verdict.FAIL, said, step if known is None else known.next_step)
    return Finding("Dagster home", Verdict.OK, f"{home}, {runs:,} runs")
