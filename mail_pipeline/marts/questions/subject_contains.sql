-- Which messages have a word in their subject?
-- `$word` in any case and anywhere; for words in bodies see `mail-pipeline search`.
SELECT date, direction, sender, subject
FROM message_facts
WHERE contains(lower(subject), lower($word))
ORDER BY date DESC, sender, subject LIMIT 50
