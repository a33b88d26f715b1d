"""The reference pages say what the code says, and what people are told of by name is there."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from docs.reference import FOLDER, PAGES
from mail_pipeline.checks import CHECKS
from mail_pipeline.cli import main
from mail_pipeline.definitions import defs
from mail_pipeline.errors import MailPipelineError
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.marts import reporting
from mail_pipeline.marts.questions import QUESTIONS
from mail_pipeline.marts.reporting import Reporting
from mail_pipeline.schedules import SCHEDULES
from mail_pipeline.sensors import SENSORS
from mail_pipeline.settings import VARIABLES, Settings
from mail_pipeline.subset.rules import KEYS
from mail_pipeline_tests.docs import markdown

BENCHMARKS = markdown.ROOT / "benchmarks" / "README.md"
COMPARISON = FOLDER / "comparison.md"
OPERATIONS = FOLDER / "operations.md"
_IDENTIFIER = re.compile(r"[a-z]+(_[a-z0-9]+)+")
_VARIABLE = re.compile(r"(NYLAS|MAIL_PIPELINE)_[A-Z_]+")
_FIGURE = re.compile(r"\d[\d,.]*\d")
_NOT_MEASURED = {"1.5.5", "0.56"}
"""A version, and the ratio of two figures that are there."""
_OTHERS = {"email_aliases", "end_date", "mail_pipeline", "rest_api", "waiting_to_be_fetched"}
"""Names of the API and other projects, of the package, and of what a check or a run reports."""


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_what_the_code_says(name: str):
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run make docs"


class _Noting(dict[str, str]):
    """An empty environment that notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
        self.asked.add(name)
        return default


def test_every_variable_that_is_read_is_described_with_its_default():
    environment = _Noting()

    assert Settings.from_env(environment) == Settings()
    assert environment.asked == {variable.name for variable in VARIABLES}
    fields = sorted(field.name for field in dataclasses.fields(Settings))
    assert sorted(variable.field for variable in VARIABLES) == fields


def test_every_variable_of_the_marts_is_described_with_its_default():
    environment = _Noting()

    assert Reporting.from_env(environment) == Reporting()
    assert environment.asked == {variable.name for variable in reporting.VARIABLES}
    told = {variable.name: variable.default.strip("`") for variable in reporting.VARIABLES}
    assert Reporting.from_env(told) == Reporting()


def test_operations_know_every_check_that_can_be_red():
    assert set(_checks()) <= set(markdown.headings(OPERATIONS))


def _checks() -> Iterator[str]:
    yield from (spec.name for check in CHECKS for spec in check.check_specs)


def _classes(base: type[MailPipelineError]) -> Iterator[type[MailPipelineError]]:
    for each in base.__subclasses__():
        if each.__module__.startswith("mail_pipeline."):
            yield each
            yield from _classes(each)


def test_operations_know_every_class_of_error():
    raised = {each.__name__ for each in _classes(MailPipelineError)}
    assert len(raised) > 10
    assert raised - set(markdown.words(OPERATIONS)) == set()


def _known() -> Iterator[str]:
    for table in TABLES.values():
        yield table.name
        yield from table.column_names
    yield from (spec.key.to_user_string() for spec in defs.resolve_all_asset_specs())
    yield from _checks()
    yield from (job.name for job in defs.resolve_all_job_defs())
    yield from (schedule.name for schedule in SCHEDULES)
    yield from (sensor.name for sensor in SENSORS)
    yield from QUESTIONS
    yield from KEYS
    for definition in defs.resolve_asset_graph().assets_defs:
        if definition.is_executable:
            yield from getattr(definition.op.config_schema.as_field().config_type, "fields", None) or ()


@pytest.mark.parametrize(
    "page", [page for page in markdown.PAGES if page.parent == FOLDER or page.name == "README.md"], ids=str
)
def test_what_is_named_in_code_is_there(page: Path):
    words = markdown.words(page)
    named = {word for word in words if _IDENTIFIER.fullmatch(word)}
    assert named - set(_known()) - _OTHERS == set()
    variables = {word for word in words if _VARIABLE.fullmatch(word)}
    assert variables <= {variable.name for variable in (*VARIABLES, *reporting.VARIABLES)}


@pytest.mark.parametrize("page", markdown.PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path):
    for target in markdown.links(page):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in markdown.anchors(there), target


def test_every_page_is_reached_from_the_readme():
    ahead, reached = [markdown.ROOT / "README.md"], set[Path]()
    while ahead:
        page = ahead.pop()
        reached.add(page)
        linked = (page.parent / target.partition("#")[0] for target in markdown.links(page))
        ahead += {each.resolve() for each in linked if each.is_file() and each.suffix == ".md"} - reached
    assert set(FOLDER.glob("*.md")) <= reached


def test_every_command_has_its_place_on_the_page():
    headings = markdown.headings(FOLDER / "commands.md")
    assert [f"mail-pipeline {name}" for name in main.list_commands(click.Context(main))] == [
        heading for heading in headings if heading.count(" ") == 1
    ]


def test_the_figures_of_this_project_are_those_of_its_benchmarks():
    text = COMPARISON.read_text(encoding="utf-8")
    own = text.partition("This project was measured")[2].partition("Against a real provider")[0]
    figures = set(_FIGURE.findall(own)) - _NOT_MEASURED
    assert len(figures) >= 5
    assert figures <= set(_FIGURE.findall(BENCHMARKS.read_text(encoding="utf-8")))
