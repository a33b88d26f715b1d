-- Who used to write and has stopped?
-- At least ten messages, none for half a year while the account went on receiving.
WITH account AS (
    SELECT grant_id, max(last_received_at) AS until FROM correspondents GROUP BY grant_id
)
SELECT c.address, c.name, c.received, c.sent, c.last_received_at
FROM correspondents c JOIN account a USING (grant_id)
WHERE c.received - c.newsletters >= 10 AND c.last_received_at < a.until - INTERVAL 180 DAYS
ORDER BY c.received DESC, c.address LIMIT 50
