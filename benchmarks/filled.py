"""A lake of millions of messages, made by statements straight in its tables as the engine would leave them.

Ten grants by default; 75,000 people of whom few write most; threads of one to three messages and some of
nine; five years; about 2.4 people and 0.4 attachments a message. Without bodies.
"""

from pathlib import Path

from mail_pipeline.lake.upkeep import tidy
from mail_pipeline.lake.writer import Lake

_GRANTS = """
INSERT INTO all_grants BY NAME
SELECT format('grant-{:03d}', g) AS id, 'google' AS provider, format('me{}@home.example', g) AS email,
    'valid' AS status, false AS per_folder, '2020-01-01'::TIMESTAMPTZ AS created_at,
    '2020-01-01'::TIMESTAMPTZ AS observed_at
FROM range($grants) r(g)
"""
_FOLDERS = """
INSERT INTO all_folders BY NAME
SELECT format('grant-{:03d}', g) AS grant_id, f.id, f.id AS name, f.role,
    '2020-01-01'::TIMESTAMPTZ AS observed_at
FROM range($grants) r(g), (VALUES ('INBOX', 'inbox'), ('SENT', 'sent'), ('SPAM', 'junk')) f(id, role)
"""
_DRAFT = """
CREATE OR REPLACE TEMP TABLE draft AS
WITH numbered AS (
    SELECT n, n % $grants AS g, n // $grants AS k FROM range($first, $first + $messages) r(n)
), placed AS (
    SELECT *, k // 24 AS block, k % 24 AS place,
        [0, 1, 2, 3, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9][k % 24 + 1] AS thread,
        (hash(n) >> 2)::BIGINT AS chance
    FROM numbered
), threaded AS (
    SELECT *, (hash(g, block, thread) >> 2)::BIGINT AS kind FROM placed
)
SELECT format('grant-{:03d}', g) AS grant_id, format('{:016x}', n) AS id,
    format('{:x}-{:x}', block, thread) AS thread_id, g, n, chance, kind,
    pow((kind % 1000003) / 1000003.0, 3) * 75000 AS depth, depth::BIGINT AS person,
    (place + kind) % 3 = 0 AND kind % 5 > 0 AS sent, kind % 5 = 0 AS news,
    '2021-01-04'::TIMESTAMPTZ + to_seconds((block * (157000000.0 / ($total / $grants / 24 + 1)))::BIGINT
        + place * 3600 + (chance % 60000)::BIGINT) AS date,
    ['Budget', 'Meeting', 'Offer', 'Invoice', 'Trip', 'Plan', 'Report', 'Question'][kind % 8 + 1] || ' '
        || ['for spring', 'about the house', 'from Monday', 'no', 'and numbers'][kind // 8 % 5 + 1] || ' '
        || (kind % 99991)::VARCHAR AS subject,
    (chance // 7 % 4000 + 500 + chance // 11 % 14000)::BIGINT AS body_bytes,
    if(chance % 5 = 0, 2, 0)::INTEGER AS files
FROM threaded
"""
_MESSAGES = """
INSERT INTO all_messages
SELECT grant_id, id, thread_id, subject, NULL,
    if(sent, format('me{}@home.example', g), format('person{}@firm{}.example', person, person % 5000)), date,
    [if(sent, 'SENT', if(news AND chance % 50 = 0, 'SPAM', 'INBOX'))], chance % 9 = 0, false, subject,
    files > 0,
    files, files * 150000, body_bytes, chance, NULL, '2026-01-01'::TIMESTAMPTZ, NULL, NULL, NULL, NULL
FROM draft ORDER BY grant_id, date
"""
_PARTICIPANTS = """
INSERT INTO message_participants
WITH people AS (
    SELECT grant_id, id, role, position,
        CASE who WHEN -1 THEN format('me{}@home.example', g)
            ELSE format(if(news AND role = 'from', 'newsletter-{}@firm{}.example', 'person{}@firm{}.example'),
                who, who % 5000) END AS address,
        if(who = -1, 'Me', format('Person {}', who)) AS name
    FROM (
        SELECT grant_id, id, g, news, 'from' AS role, 0 AS position, if(sent, -1, person) AS who FROM draft
        UNION ALL SELECT grant_id, id, g, news, 'to', 0, if(sent, person, -1) FROM draft
        UNION ALL SELECT grant_id, id, g, news, 'cc', 0, (chance % 75000)::BIGINT FROM draft
            WHERE NOT news AND chance % 2 = 0
    )
)
SELECT grant_id, id, role, position, name, address, address, split_part(address, '@', 2) FROM people
ORDER BY grant_id, id
"""
_MESSAGE_FOLDERS = """
INSERT INTO message_folders
SELECT grant_id, id, if(sent, 'SENT', if(news AND chance % 50 = 0, 'SPAM', 'INBOX')) AS folder_id FROM draft
ORDER BY grant_id, folder_id
"""
_ATTACHMENTS = """
INSERT INTO attachments
SELECT grant_id, id, p::INTEGER, format('{}-{}', id, p), 'file',
    ['application/pdf', 'image/png; name=x', 'image/jpeg', 'text/calendar', 'application/zip',
        'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'][chance // 3 % 6 + 1],
    150000, p = 1, NULL, NULL
FROM draft, range(files) r(p) ORDER BY grant_id, id
"""
_PART = 500_000


def fill(data: Path, messages: int, *, grants: int = 10) -> None:
    """Make a lake with so many messages."""
    with Lake(data) as lake:
        with lake.transaction() as transaction:
            transaction.change("all_grants", _GRANTS, {"grants": grants})
            transaction.change("all_folders", _FOLDERS, {"grants": grants})
        for first in range(0, messages, _PART):
            add(lake, first, min(_PART, messages - first), total=messages, grants=grants)
        tidy(lake)


def add(lake: Lake, first: int, messages: int, *, total: int, grants: int = 10) -> None:
    """Add so many messages from the number `first` on, spread over all grants, in one transaction."""
    given = {"first": first, "messages": messages, "grants": grants, "total": total}
    with lake.transaction() as transaction:
        transaction.rows(_DRAFT, given)
        for table, statement in (
            ("all_messages", _MESSAGES),
            ("message_participants", _PARTICIPANTS),
            ("message_folders", _MESSAGE_FOLDERS),
            ("attachments", _ATTACHMENTS),
        ):
            transaction.change(table, statement)
