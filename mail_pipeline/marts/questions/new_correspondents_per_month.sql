-- How many new people are met in each month?
SELECT month, sum(people)::BIGINT AS people, sum(newsletters)::BIGINT AS newsletters
FROM new_correspondents
GROUP BY month ORDER BY month
