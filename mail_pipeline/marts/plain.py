"""A body as plain text: what its sender wrote, and apart from it what is quoted below."""

import re
from importlib.metadata import version
from typing import NamedTuple

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

_RULES = 1
"""Goes up with every change here that makes other texts."""
CONVERTER = f"resiliparse {version('resiliparse')}, rules {_RULES}"
"""Kept with each text; another one makes all texts anew."""

_HTML = re.compile(
    r"<(?:!doctype|html|body|head|div|p|br|table|span|a|font|ul|b|i|img)(?=[\s/>])[^>]*>", re.IGNORECASE
)
_QUOTE_BEGINS = ", ".join(
    (
        ".gmail_quote",
        "blockquote[type=cite]",
        ".moz-cite-prefix",
        "#divRplyFwdMsg",
        "#appendonsend",
        "#mail-editor-reference-message-container",
        ".OutlookMessageHeader",
        ".yahoo_quoted",
        ".protonmail_quote",
        ".zmail_extra",
    )
)
"""What mail programs put around, or before, the message they answer."""
_MARK = "\ue000\ue001\ue000"

_ATTRIBUTION = re.compile(
    r"^[ \t]*(?:On|Am|Le|El|Il|Op|Den|Em|W dniu|Dne|På|Pada)\b[^\n]{0,200}(?:\n(?![ \t]*>)[^\n]{0,200}){0,2}?"
    r"(?:wrote|schrieb[^\n:]{0,100}|a écrit|escribió|ha scritto|schreef[^\n:]{0,100}|skrev[^\n:]{0,100}"
    r"|escreveu|napisał\(?a?\)?|napsala?|menulis)[ \t\xa0]*:[ \t]*$",
    re.MULTILINE,
)
_ORIGINAL = re.compile(
    r"^[ \t]*-{2,}[ \t]*(?:Original Message|Forwarded message|Ursprüngliche Nachricht"
    r"|Weitergeleitete Nachricht"
    r"|Message d'origine|Message original|Mensaje original|Messaggio originale|Oorspronkelijk bericht"
    r"|Mensagem original|Ursprungligt meddelande)[ \t]*-{2,}[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_HEADER = re.compile(
    r"^[ \t]*(?:From|Von|De|Da|Van|Från|Fra|Od)[ \t\xa0]?:[^\n]+\n(?:[^\n]+\n){0,2}?"
    r"[ \t]*(?:Sent|Date|Gesendet|Datum|Envoyé|Enviado|Inviato|Verzonden|Skickat|Sendt|Odesláno)"
    r"[ \t\xa0]?:[^\n]+\n",
    re.MULTILINE,
)
_GAPS = re.compile(r"\n{3,}")


class Plain(NamedTuple):
    """A body without its marks."""

    text: str
    quoted: str | None
    """The earlier messages below it; None where there are none."""


def plain(body: str) -> Plain:
    """Return a body, HTML or not, as plain text, its quoted tail apart.

    A quote is told by what mail programs put around it, else by the line that introduces it, in a dozen
    languages. Answers between quoted lines stay where they are, with the lines.
    """
    text = _from_html(body) if _HTML.search(body) else body.replace("\r\n", "\n").replace("\0", "")
    own, mark, tail = text.partition(_MARK)
    if not mark:
        own, tail = _split(text)
    return Plain(_tidy(own), _tidy(tail) or None)


def _from_html(body: str) -> str:
    tree = HTMLTree.parse(body.replace("\0", "").replace(_MARK, ""))
    if tree.body is None:
        return ""
    quote = tree.body.query_selector(_QUOTE_BEGINS)
    if quote is not None and (parent := quote.parent) is not None:
        mark = tree.create_text_node(_MARK)
        if mark is not None:
            parent.insert_before(mark, quote)
    text: str = extract_plain_text(
        tree, preserve_formatting=True, main_content=False, links=False, alt_texts=False, list_bullets=True
    )
    return text


def _split(text: str) -> tuple[str, str]:
    starts = [found.start() for found in (_ORIGINAL.search(text), _HEADER.search(text)) if found]
    starts.append(_quoted_lines(text))
    if found := _ATTRIBUTION.search(text):
        # Where other lines than quoted ones follow quoted ones, somebody answers between them.
        below = [line for line in text[found.end() :].splitlines() if line.strip()]
        marked = [line.lstrip().startswith(">") for line in below]
        if below and (all(marked) or not any(marked)):
            starts.append(found.start())
    start = min(starts)
    return text[:start], text[start:]


def _quoted_lines(text: str) -> int:
    """Return where the quoted lines begin with which a text ends; its length where it does not."""
    start = end = len(text)
    for line in reversed(text.splitlines(keepends=True)):
        stripped = line.strip()
        if stripped and not stripped.startswith(">"):
            break
        end -= len(line)
        start = end if stripped else start
    return start


def _tidy(text: str) -> str:
    return _GAPS.sub("\n\n", "\n".join(map(str.rstrip, text.split("\n")))).strip()
