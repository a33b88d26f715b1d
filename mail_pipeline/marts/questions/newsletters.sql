-- Which newsletters and notices come most, and were they ever answered?
-- Told by sender and by Gmail's categories, as the list API gives no List-Unsubscribe.
SELECT address, any_value(name) AS name, sum(newsletters)::BIGINT AS messages, sum(sent)::BIGINT AS answers,
    max(last_received_at) AS last_at
FROM correspondents WHERE newsletters > 0
GROUP BY address ORDER BY messages DESC, address LIMIT 50
