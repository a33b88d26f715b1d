"""First answers: a few questions the demo puts to its own tables. Counts and domains, nobody's words."""

from pathlib import Path
from typing import Any

from rich.console import Console

from mail_pipeline.cli.terminal import print_table
from mail_pipeline.lake.connection import connect, records

_QUESTIONS = {
    "Messages per mailbox": """
        SELECT g.provider, count(*) AS messages, count(*) FILTER (m.unread) AS unread,
            min(m.date)::DATE AS oldest, max(m.date)::DATE AS newest
        FROM messages m JOIN grants g ON g.id = m.grant_id
        GROUP BY g.id, g.provider ORDER BY messages DESC LIMIT 10
    """,
    "Domains that write most": """
        SELECT domain, count(*) AS messages FROM message_participants
        WHERE role = 'from' AND domain IS NOT NULL
        GROUP BY domain ORDER BY messages DESC, domain LIMIT 5
    """,
    "Busiest hours (UTC)": """
        SELECT hour(date) AS hour, count(*) AS messages FROM messages
        WHERE date IS NOT NULL GROUP BY hour ORDER BY messages DESC, hour LIMIT 5
    """,
}


def first_answers(data: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the answers from a data folder's lake, as rows by question."""
    with connect(data) as connection:
        answers = {}
        for question, query in _QUESTIONS.items():
            answers[question] = records(connection.execute(query))
    return answers


def print_answers(console: Console, answers: dict[str, list[dict[str, Any]]]) -> None:
    """Print them as small tables."""
    for question, rows in answers.items():
        columns = list(rows[0]) if rows else ["no messages yet"]
        print_table(console, question, columns, [list(row.values()) for row in rows])
        console.print()
