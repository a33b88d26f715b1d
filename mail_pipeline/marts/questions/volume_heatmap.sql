-- When does mail come and go, by weekday and hour?
-- Weekday 1 is Monday; hours are those of MAIL_PIPELINE_TIME_ZONE.
SELECT weekday, hour, sum(received)::BIGINT AS received, sum(sent)::BIGINT AS sent
FROM weekday_hours
GROUP BY weekday, hour ORDER BY weekday, hour
