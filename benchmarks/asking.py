"""Somebody at a notebook: asks the lake every half second until standard input ends, then tells how it went.

In turn over a connection it keeps and over a new one; each answer must agree with itself.
"""

import json
import select
import sys
from pathlib import Path
from time import perf_counter

import mail_pipeline
from mail_pipeline.errors import StopRun

EVERY_SECONDS = 0.5

_COUNT = "SELECT count(*), count(DISTINCT (grant_id, id)) FROM messages"
_QUESTIONS = (
    _COUNT,
    "SELECT partition_key, state, pages, messages FROM mailboxes",
    "SELECT from_address, count(*) FROM messages GROUP BY ALL ORDER BY ALL DESC LIMIT 20",
    _COUNT,
    "SELECT date_trunc('month', date) AS month, count(*) FROM messages GROUP BY ALL ORDER BY ALL",
)


def ask(data: Path) -> dict[str, float]:
    """Ask until standard input ends; return how many questions there were and the seconds they took.

    Raises RuntimeError where a statement saw a message twice.
    """
    questions = 0
    seconds = 0.0
    kept = None
    while not select.select([sys.stdin], [], [], EVERY_SECONDS)[0]:
        started = perf_counter()
        try:
            kept = kept or mail_pipeline.connect(data)
            # Every other time as somebody who has just opened a notebook.
            connection = kept if questions % 2 else mail_pipeline.connect(data)
        except StopRun:
            # The engine has not made the lake yet.
            continue
        question = _QUESTIONS[questions % len(_QUESTIONS)]
        answer = connection.execute(question).fetchall()
        if question is _COUNT and answer[0][0] != answer[0][1]:
            raise RuntimeError(f"{answer[0][0]} rows of {answer[0][1]} messages")
        if connection is not kept:
            connection.close()
        questions += 1
        seconds += perf_counter() - started
    if kept is not None:
        kept.close()
    return {"questions": questions, "seconds": seconds}


if __name__ == "__main__":
    json.dump(ask(Path(sys.argv[1])), sys.stdout)
