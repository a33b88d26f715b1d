"""How a message is told to be an automatic reply, a newsletter or a forward where no header says it.

The list API gives no headers, so all rests on subjects, senders and Gmail's categories. Patterns are of RE2,
for text in lower case.
"""

AUTO_REPLY_SUBJECT = (
    r"^\s*((re|aw|sv|vs|antw)\s*:\s*)?("
    r"auto(matic|mated|matische|matisch|m[aá]tic[ao]|matique)?[- ]?"
    r"(reply|response|antwort|antwoord|svar|vastaus|respuesta|resposta|risposta|r[eé]ponse)\b"
    r"|(r[eé]ponse|respuesta|resposta|risposta) autom[aá]ti(que|ca)"
    r"|automatische? antwoord|automatisk svar|automatiskt svar|autosvar|automaattinen vastaus"
    r"|out of (the )?office|ooo:|abwesen(d|heits)|abwesenheit|absence du bureau|absent du bureau"
    r"|fuera de la oficina|fuori (sede|ufficio)|fora do escrit[oó]rio|afwezig(heid)?\b|frånvaro|fravær"
    r"|vacation (reply|response)|on vacation:"
    r"|undeliver(able|ed)|delivery status notification|mail delivery (failed|failure|subsystem)"
    r"|delivery failure|returned mail|unzustellbar|non remis|no se puede entregar|read:|gelesen:|lu ?:"
    r")"
)
"""Out of office, bounces and receipts, in the languages Outlook and Gmail write them in."""

AUTO_REPLY_SENDER = r"^(mailer-daemon|postmaster|mail-daemon|microsoftexchange[0-9a-f]*|bounces?)([+=-].*)?@"

NEWSLETTER_SENDER = (
    r"^(no-?_?\.?reply|do-?_?\.?not-?_?\.?reply|newsletters?|news|notifications?|notify|mailings?|marketing"
    r"|updates?|digest|alerts?|promo(tion)?s?|offers?|noreply-[^@]*|[^@]*[-_.+]no-?reply|bounces?)"
    r"([+=_.-][^@]*)?@"
)

NEWSLETTER_FOLDERS = ["CATEGORY_PROMOTIONS", "CATEGORY_SOCIAL", "CATEGORY_UPDATES", "CATEGORY_FORUMS"]
"""Gmail's labels for what is not from person to person."""

FORWARD_SUBJECT = r"^\s*(fwd?|wg|tr|rv|enc|i|doorst|vb|vl|vs|pd|videresendt|reenv|转发|轉寄)\s*:"

PATTERNS = {
    "auto_reply_subject": AUTO_REPLY_SUBJECT,
    "auto_reply_sender": AUTO_REPLY_SENDER,
    "newsletter_sender": NEWSLETTER_SENDER,
    "newsletter_folders": NEWSLETTER_FOLDERS,
    "forward_subject": FORWARD_SUBJECT,
}
