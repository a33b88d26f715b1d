"""Somebody who keeps asking while the lake fills: `python -m mail_pipeline_tests.backfill.notebook FOLDER`.

Every half second, until standard input ends, it asks the same question over a new connection and over one it
keeps open. Each answer is a line of JSON: how it was asked, then the columns.
"""

import json
import select
import sys

import mail_pipeline

EVERY_SECONDS = 0.5

# One statement is one snapshot, so whatever is counted here has to agree.
QUESTION = """
WITH told AS (SELECT grant_id, sum(messages) AS messages FROM mailboxes GROUP BY grant_id),
rows AS (SELECT grant_id, count(*) AS messages FROM messages GROUP BY grant_id)
SELECT
    (SELECT count(*) FROM messages) AS messages,
    (SELECT count(DISTINCT (grant_id, id)) FROM messages) AS ids,
    (SELECT count(*) FROM messages WHERE body_bytes IS NOT NULL) AS with_body,
    (SELECT count(*) FROM message_bodies b SEMI JOIN messages m USING (grant_id, id)) AS bodies,
    (SELECT count(*) FROM message_folders) AS folder_rows,
    (SELECT coalesce(sum(len(folders)), 0)::BIGINT FROM messages) AS folders,
    (SELECT count(*) FROM told LEFT JOIN rows USING (grant_id)
        WHERE told.messages <> coalesce(rows.messages, 0)) AS grants_that_disagree,
    (SELECT sum(pages)::BIGINT FROM mailboxes) AS pages
"""


def main(folder: str) -> None:
    with mail_pipeline.connect(folder) as kept:
        while not select.select([sys.stdin], [], [], EVERY_SECONDS)[0]:
            with mail_pipeline.connect(folder) as new:
                for name, connection in (("new", new), ("kept", kept)):
                    answer = connection.execute(QUESTION).to_arrow_table().to_pylist()[0]
                    print(json.dumps({"connection": name, **answer}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
