-- What was exchanged with one person, month by month?
-- `$address` in its canonical form, as in `correspondents`.
SELECT date_trunc('month', local_at)::DATE AS month, count(*) FILTER (direction = 'received') AS received,
    count(*) FILTER (direction = 'sent') AS sent
FROM correspondence
WHERE address = $address
GROUP BY month ORDER BY month
