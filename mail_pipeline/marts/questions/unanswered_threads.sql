-- Who waits for an answer of ours, and since when?
SELECT waiting_since, days, correspondent, subject, messages
FROM awaiting_us
ORDER BY waiting_since DESC, thread_id LIMIT 50
