"""Bodies as the words people read."""

import re

from selectolax.lexbor import LexborHTMLParser

_MARKUP = re.compile(r"<[a-zA-Z!/?]")
_UNREAD = ["head", "script", "style", "template", "noscript", "title"]
_BREAKS = re.compile(
    r"</?(?=(?:address|article|aside|blockquote|br|caption|center|d[dlt]|div|fieldset|fig\w+|footer|form|"
    r"h[1-6r]|header|img|li|main|nav|[ou]l|option|p|pre|section|summary|table|tbody|t[dhr]|tfoot|thead)\b)",
    re.IGNORECASE,
)
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u2060\ufeff"))
"""Soft hyphens and characters without width, which newsletters fill their first lines with."""


def text_of(body: str) -> str:
    """Return the text of a body: of HTML what a reader sees, one line per block; plain text as it is.

    Words that only markup stands in, as in `re<b>port</b>`, stay one word; those of two cells stay two.
    """
    if not _MARKUP.search(body):
        return body
    # A line break before each tag of a block; put into the tree instead, they cost five times as much.
    tree = LexborHTMLParser(_BREAKS.sub(r"\n\g<0>", body))
    if tree.body is None:
        return ""
    tree.strip_tags(_UNREAD)
    text = tree.body.text()
    if not text.isascii():
        text = text.translate(_UNSEEN)
    return "\n".join(filter(None, (" ".join(line.split()) for line in text.split("\n"))))
