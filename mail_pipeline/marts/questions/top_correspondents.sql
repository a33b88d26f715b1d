-- Who are the people most mail is exchanged with?
-- Newsletters are left out: those who wrote nothing else and were never written to.
SELECT address, any_value(name) AS name, sum(received)::BIGINT AS received, sum(sent)::BIGINT AS sent,
    max(last_at) AS last_at
FROM correspondents
WHERE newsletters < received OR sent > 0
GROUP BY address ORDER BY sum(received + sent) DESC, address LIMIT 20
