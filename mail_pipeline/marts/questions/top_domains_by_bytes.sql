-- Whose mail takes the room, by domain?
-- Bodies as stored, attachments as the provider tells their size.
SELECT domain, sum(bytes)::BIGINT AS bytes, sum(attachment_bytes)::BIGINT AS attachment_bytes,
    sum(messages)::BIGINT AS messages, count(DISTINCT sender) AS senders
FROM storage_by_sender
GROUP BY domain ORDER BY bytes DESC, domain LIMIT 20
