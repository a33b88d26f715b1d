"""Every question is asked of a lake with mail in it and gives rows, by statements that stand in one place."""

from pathlib import Path

import pytest

from mail_pipeline.lake.connection import connect
from mail_pipeline.lake.writer import Lake
from mail_pipeline.marts import questions
from mail_pipeline.marts.questions import ALSO_ASKED, QUESTIONS, TEN
from mail_pipeline.marts.refresh import refresh_marts
from mail_pipeline_tests.marts.mail import HOUR, MONDAY, mailbox, message, sent, store

DAY = 24 * HOUR
GIVEN = {"word": "HELLO", "address": "other@far.example"}
FILE = dict.fromkeys(("id", "filename", "content_id", "content_disposition", "is_inline"))


@pytest.fixture(scope="module")
def asked_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with Lake(tmp_path_factory.mktemp("asked") / "data") as lake:
        mailbox(lake)
        store(
            lake,
            message("q", body="12345", attachments=[{**FILE, "content_type": "image/png", "size": 7}]),
            sent("a", date=MONDAY + HOUR),
            message("open", date=MONDAY + 2 * HOUR),
            message("news", thread_id="n", from_=["news@shop.example"]),
            *(message(f"old{n}", thread_id="o", from_=["gone@far.example"]) for n in range(10)),
            message("late", thread_id="l", date=MONDAY + 300 * DAY),
        )
        refresh_marts(lake.data)
        return lake.data


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_answered(asked_lake: Path, name: str):
    question = QUESTIONS[name]
    with connect(asked_lake) as connection:
        rows = connection.execute(
            question.sql, {each: GIVEN[each] for each in question.parameters}
        ).fetchall()
    assert rows
    assert question.title.endswith("?")
    assert question.remark == "" or question.remark.endswith(".")


def test_every_file_of_a_question_has_its_place():
    found = {path.stem for path in Path(questions.__file__).parent.glob("*.sql")}
    assert found == {*TEN, *ALSO_ASKED}
    assert list(QUESTIONS) == [*TEN, *ALSO_ASKED]
    assert len(TEN) == 10
