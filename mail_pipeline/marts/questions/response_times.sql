-- How long do answers take, for each account?
-- Only answered mail counts; forwards and automatic replies do not. Half of the answers took no longer than the median.
SELECT coalesce(g.email, t.grant_id) AS account, answered_by, replies, median_seconds / 3600 AS median_hours,
    p90_seconds / 3600 AS p90_hours, median_business_seconds / 3600 AS median_business_hours,
    first_median_seconds / 3600 AS first_median_hours
FROM response_times t LEFT JOIN grants g ON g.id = t.grant_id
ORDER BY account, answered_by
