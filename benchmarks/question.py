"""One question from a cold process: connects, asks, and tells what either took."""

import json
import sys
from time import perf_counter, process_time


def ask(data: str, name: str) -> dict[str, float]:
    """Return milliseconds to connect and to answer, and the rows of the answer."""
    # DuckDB looks at a parameter with its help, and a notebook has it; importing it is no part of the answer.
    import pandas  # noqa: F401

    import mail_pipeline
    from mail_pipeline.marts.questions import QUESTIONS

    question = QUESTIONS[name]
    given = {"word": "4242", "address": "person7@firm7.example"}
    started = perf_counter()
    with mail_pipeline.connect(data) as connection:
        connected, used = perf_counter(), process_time()
        rows = connection.execute(
            question.sql, {each: given[each] for each in question.parameters}
        ).fetchall()
        answered = perf_counter()
    return {
        "connect_ms": 1000 * (connected - started),
        "answer_ms": 1000 * (answered - connected),
        "answer_cpu_ms": 1000 * (process_time() - used),
        "rows": len(rows),
    }


if __name__ == "__main__":
    print(json.dumps(ask(sys.argv[1], sys.argv[2])))
