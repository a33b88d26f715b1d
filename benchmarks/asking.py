"""Somebody at a notebook: asks the lake every half second until standard input ends, then tells how it went.

Each time over a connection it keeps and over a new one; each answer must agree with itself.
"""

import json
import select
import sys
from pathlib import Path
from time import perf_counter

import mail_pipeline
from mail_pipeline.errors import StopRun

EVERY_SECONDS = 0.5

_QUESTIONS = (
    "SELECT count(*), count(DISTINCT (grant_id, id)) FROM messages",
    "SELECT from_address, count(*) FROM messages GROUP BY ALL ORDER BY ALL DESC LIMIT 20",
    "SELECT date_trunc('month', date) AS month, count(*) FROM messages GROUP BY ALL ORDER BY ALL",
    "SELECT partition_key, state, pages, messages FROM mailboxes",
)


def ask(data: Path) -> dict[str, float]:
    """Ask until standard input ends; return how many questions there were and the seconds they took.

    Raises RuntimeError where a statement saw a message twice.
    """
    while not select.select([sys.stdin], [], [], EVERY_SECONDS)[0]:
        try:
            kept = mail_pipeline.connect(data)
        except StopRun:
            # The engine has not made the lake yet.
            continue
        break
    else:
        return {"questions": 0, "seconds": 0.0}
    questions = 0
    seconds = 0.0
    while not select.select([sys.stdin], [], [], EVERY_SECONDS)[0]:
        started = perf_counter()
        with mail_pipeline.connect(data) as new:
            for connection in (kept, new):
                for question in _QUESTIONS:
                    answer = connection.execute(question).fetchall()
                    if question is _QUESTIONS[0] and answer[0][0] != answer[0][1]:
                        raise RuntimeError(f"{answer[0][0]} rows of {answer[0][1]} messages")
                    questions += 1
        seconds += perf_counter() - started
    kept.close()
    return {"questions": questions, "seconds": seconds}


if __name__ == "__main__":
    json.dump(ask(Path(sys.argv[1])), sys.stdout)
