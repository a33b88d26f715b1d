-- At which hour do our correspondents write most?
-- The twenty who write most, newsletters left out; hours are those of MAIL_PIPELINE_TIME_ZONE.
WITH most AS (
    SELECT address, sum(received) AS received FROM correspondents
    WHERE newsletters < received GROUP BY address ORDER BY received DESC, address LIMIT 20
)
SELECT address, mode(hour(local_at) ORDER BY hour(local_at)) AS busiest_hour, count(*) AS received
FROM correspondence SEMI JOIN most USING (address)
WHERE direction = 'received'
GROUP BY address ORDER BY received DESC, address
