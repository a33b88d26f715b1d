"""The page of the questions people ask, each with its query."""

from collections.abc import Iterator

from docs.reference.blocks import code, page, paragraph
from mail_pipeline.marts.questions import ALSO_ASKED, QUESTIONS, TEN


def questions() -> str:
    """Return the page of every question: what to know of its answer, and the query."""
    return page(
        [
            "# Questions",
            paragraph(
                "What people ask of their mail, each one short query to the [marts](tables.md). Copy it into "
                "a notebook or `mail-pipeline sql`; `$word` and `$address` stand for what you look for. From "
                "Python they are there by name:"
            ),
            code("python", _FROM_PYTHON),
            "## The ten",
            *_questions(TEN),
            "## Also asked",
            *_questions(ALSO_ASKED),
        ]
    )


_FROM_PYTHON = """import mail_pipeline
from mail_pipeline.marts.questions import QUESTIONS

con = mail_pipeline.connect()
question = QUESTIONS["timeline_of_a_person"]
con.execute(question.sql, {"address": "ann@example.com"}).df()"""


def _questions(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        question = QUESTIONS[name]
        yield f"### {question.title}"
        yield paragraph(f"{question.remark} `{name}`".strip())
        yield code("sql", question.sql.strip())
