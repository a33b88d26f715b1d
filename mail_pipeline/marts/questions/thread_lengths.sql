-- How long are conversations?
-- The last line, 20, is of threads of twenty messages and more.
SELECT least(messages, 20) AS length, count(*) AS threads, sum(messages)::BIGINT AS messages
FROM thread_stats
GROUP BY length ORDER BY length
