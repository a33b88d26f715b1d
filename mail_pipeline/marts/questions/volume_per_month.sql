-- How much mail is sent and received in each month?
SELECT date_trunc('month', day)::DATE AS month, sum(received)::BIGINT AS received, sum(sent)::BIGINT AS sent,
    sum(newsletters)::BIGINT AS newsletters
FROM daily_volume
GROUP BY month ORDER BY month
