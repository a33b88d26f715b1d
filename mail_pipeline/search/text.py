"""Bodies as the words people read."""

import re

from selectolax.lexbor import LexborHTMLParser

_MARKUP = re.compile(r"<[a-zA-Z!/?]")
_UNREAD = ["head", "script", "style", "template", "noscript", "title"]
_BREAKS = (
    "address, article, aside, blockquote, br, caption, dd, div, dl, dt, fieldset, figcaption, figure, "
    "footer, form, h1, h2, h3, h4, h5, h6, header, hr, img, li, main, nav, ol, option, p, pre, section, summary, "
    "table, tbody, td, tfoot, th, thead, tr, ul"
)
_SPACE = re.compile(r"[ \t\r\f\v\xa0\u00ad\u200b\u200c\ufeff]+")
_LINES = re.compile(r"\s*\n\s*")


def text_of(body: str) -> str:
    """Return the text of a body: of HTML what a reader sees, one line per block; plain text as it is.

    Words that only markup stands in, as in `re<b>port</b>`, stay one word; those of two cells stay two.
    """
    if not _MARKUP.search(body):
        return body
    tree = LexborHTMLParser(body)
    if tree.body is None:
        return ""
    tree.strip_tags(_UNREAD)
    for node in tree.body.css(_BREAKS):
        node.insert_before("\n")
        node.insert_after("\n")
    return _LINES.sub("\n", _SPACE.sub(" ", tree.body.text())).strip()
