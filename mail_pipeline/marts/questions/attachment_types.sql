-- What kinds of files come and go, and how large are they?
SELECT content_type, sum(files)::BIGINT AS files, sum(inline_files)::BIGINT AS inline_files,
    sum(bytes)::BIGINT AS bytes, max(largest) AS largest
FROM attachment_types
GROUP BY content_type ORDER BY bytes DESC, content_type
