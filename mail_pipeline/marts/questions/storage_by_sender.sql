-- Whose mail takes the room, by sender?
SELECT sender, sum(bytes)::BIGINT AS bytes, sum(attachment_bytes)::BIGINT AS attachment_bytes,
    sum(messages)::BIGINT AS messages
FROM storage_by_sender
GROUP BY sender ORDER BY bytes DESC, sender LIMIT 20
