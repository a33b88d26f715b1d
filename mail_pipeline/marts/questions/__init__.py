"""The questions people ask of their mail, each one short query: for the docs, notebooks and benchmarks.

Each is a file of this folder: the question in its first line, what to know in the next, then the statement.
"""

from dataclasses import dataclass
from importlib.resources import files

TEN = (
    "top_correspondents",
    "top_domains_by_bytes",
    "volume_heatmap",
    "volume_per_month",
    "response_times",
    "thread_lengths",
    "attachment_types",
    "storage_by_sender",
    "subject_contains",
    "timeline_of_a_person",
)
ALSO_ASKED = (
    "unanswered_threads",
    "busiest_hour_of_a_person",
    "new_correspondents_per_month",
    "newsletters",
    "who_drops_off",
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, what to know about its answer, and the statement that gives it."""

    name: str
    title: str
    remark: str
    sql: str
    parameters: tuple[str, ...]
    """Names of what the statement takes, to be given as `connection.execute(sql, {name: value})`."""


def _read(name: str) -> Question:
    lines = files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8").splitlines()
    said = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
    sql = "\n".join(line for line in lines if not line.startswith("-- "))
    parameters = tuple(each for each in ("word", "address") if f"${each}" in sql)
    return Question(name, said[0], " ".join(said[1:]), sql, parameters)


QUESTIONS = {name: _read(name) for name in (*TEN, *ALSO_ASKED)}
"""By name, in the order in which they are best read."""
