"""Every command line of every page is one the program takes, and what is cheap and harmless is run."""

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mail_pipeline.cli import main
from mail_pipeline_tests.docs.conftest import Project
from mail_pipeline_tests.docs.markdown import PAGES, ROOT, snippets, words

_PARSED_ONLY = {
    "demo": "stays until Ctrl-C; cli/test_demo.py",
    "up": "stays until Ctrl-C; cli/test_up.py",
    "receive": "stays until Ctrl-C; cli/test_receive.py",
    "simulate": "stays until Ctrl-C; cli/test_simulate.py",
    "status --watch": "stays until Ctrl-C; cli/test_status.py",
    "backfill": "five seconds of Dagster; cli/test_backfill.py",
    "forget": "erases a grant; cli/test_forget.py",
    "mirror": "five seconds of Dagster; cli/test_mirror.py",
    "reconcile": "lists whole mailboxes; cli/test_reconcile.py",
    "upkeep --remove-excluded": "takes the search index with it; cli/test_upkeep.py",
    "verify": "lists whole mailboxes; cli/test_verify.py",
    "webhook": "wants a receiver on the internet; cli/test_webhook.py",
}
"""Command lines that are not run here: why, and where they are."""
_OTHERS = {"git", "tar"}
"""Programs that are not ours."""
_GRANT = "GRANT"
"""Stands for a grant id."""
_HERE = ".venv/bin/"
_NAMED_TOO = ("make ", "pytest ", "python -m ")
"""How words in the text begin that are a command line like those in blocks."""
_ENDS = {"|", "||", "&&", ";"}
_REDIRECTS = {"<", ">", ">>"}


def _why_not(arguments: Sequence[str]) -> str | None:
    for key, why in _PARSED_ONLY.items():
        first, *others = key.split()
        if arguments[:1] == (first,) and set(others) <= set(arguments):
            return why
    return None


@dataclass(frozen=True)
class Line:
    where: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.where} {shlex.join(self.words)}"

    @property
    def program(self) -> str:
        return self.words[0]


def _lines() -> Iterator[Line]:
    for snippet in snippets("sh"):
        text = snippet.text.replace("\\\n", " ")
        for number, line in enumerate(text.splitlines(), snippet.line):
            for command in _commands(line):
                yield Line(f"{snippet.page.relative_to(ROOT)}:{number}", command)
    for page in PAGES:
        for text in words(page):
            if text.removeprefix(_HERE).startswith(_NAMED_TOO):
                yield Line(page.name, _words(text.split()))


def _commands(line: str) -> Iterator[tuple[str, ...]]:
    """Yield what a line of the shell runs, without redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    command: list[str] = []
    skip = False
    for word in lexer:
        if word in _ENDS:
            yield _words(command)
            command = []
            skip = False
        elif word in _REDIRECTS:
            skip = True
        elif skip:
            skip = False
        else:
            command.append(word)
    if command:
        yield _words(command)


def _words(command: Sequence[str]) -> tuple[str, ...]:
    return (command[0].removeprefix(_HERE), *command[1:])


LINES = sorted({line.words: line for line in _lines()}.values(), key=lambda line: line.where)
OURS = [line for line in LINES if line.program == "mail-pipeline"]
RUN = [line for line in OURS if not _why_not(line.words[1:])]
NAMED = sorted({word for page in PAGES for word in words(page) if word.startswith("mail-pipeline ")})


def parse(arguments: Sequence[str], home: Path) -> None:
    """Have click take a command line apart, without running it. Raises UsageError naming what is wrong."""
    rest = [word.replace("~", str(home)) for word in arguments]
    command: click.Command | None = main
    context = click.Context(main, info_name="mail-pipeline")
    name: str | None = None
    while isinstance(command, click.Group) and rest:
        if rest[0].startswith("-"):
            command.make_parser(context).parse_args(rest)
            return
        name, command, rest = command.resolve_command(context, rest)
    if command is not None and not isinstance(command, click.Group):
        try:
            command.make_context(name, rest, parent=context)
        except click.exceptions.Exit:
            assert "--help" in arguments


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with mail in it, and nothing of a project."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "archive.mbox").touch()
    return tmp_path


def test_every_line_is_of_a_program_that_is_known():
    programs = {line.program for line in LINES}
    assert programs == {"mail-pipeline", "make", "pytest", "python", *_OTHERS}
    assert {key.split()[0] for key in _PARSED_ONLY} <= set(main.list_commands(click.Context(main)))


@pytest.mark.parametrize("line", OURS, ids=str)
def test_every_command_line_is_one_the_program_takes(home: Path, line: Line):
    parse(line.words[1:], home)


@pytest.mark.parametrize("text", NAMED)
def test_every_command_named_in_the_text_is_there_with_its_options(home: Path, text: str):
    # The text may name a command without what it is to work on.
    with suppress(click.MissingParameter):
        parse(shlex.split(text)[1:], home)


@pytest.mark.parametrize("line", RUN, ids=str)
def test_what_is_cheap_and_harmless_runs(inside: Project, line: Line):
    arguments = [word.replace(_GRANT, inside.grant) for word in line.words[1:]]
    result = CliRunner().invoke(main, arguments, env=inside.environment)
    assert result.exit_code == 0, result.output


def test_what_make_is_told_it_can_do():
    asked = [line.words for line in LINES if line.program == "make"]
    assert asked
    # Not what a make that runs the tests has told its own.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    for command in asked:
        done = subprocess.run(
            [*command, "-n"], cwd=ROOT, env=outside, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_what_is_run_by_python_is_there():
    for line in LINES:
        if line.program == "python" and line.words[1] == "-m":
            assert (ROOT / f"{line.words[2].replace('.', '/')}.py").exists(), str(line)
        if line.program == "pytest":
            for word in line.words[1:]:
                assert not word.endswith(".py") or (ROOT / word).exists(), str(line)
