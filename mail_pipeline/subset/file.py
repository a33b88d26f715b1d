"""Reading the configuration file: every mistake in it at once, with its line and what is allowed."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from pydantic import ValidationError

from mail_pipeline.errors import StopRun
from mail_pipeline.subset.conflicts import conflicts
from mail_pipeline.subset.lines import Path, line_of, lines_of
from mail_pipeline.subset.resolved import Subsets
from mail_pipeline.subset.rules import KEYS, WORDS, Rules, meant

PROVIDERS = ("google", "microsoft", "ews", "imap", "yahoo", "icloud", "virtual-calendar")
_TABLES = ("provider", "grant")
_LONGEST = 60
_NEXT_STEP = "Mend the file; docs/configuration.md has every key, and an example to start from."


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: where, and what is wrong there."""

    path: Path
    text: str


def read_file(name: str, text: str, hash_key: bytes = b"") -> Subsets:
    """Read a configuration file's text; `name` is how messages call it. Raises StopRun."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StopRun(f"{name} is not TOML: {error}", next_step=_NEXT_STEP) from None
    reader = _Reader(document)
    subsets = Subsets(reader.general, reader.providers, reader.grants, hash_key)
    mistakes = reader.mistakes or [Mistake(*each) for each in conflicts(subsets, PROVIDERS)]
    if mistakes:
        lines = lines_of(text)
        told = sorted((line_of(lines, each.path) or 0, _shown(each.path), each.text) for each in mistakes)
        listed = "".join(f"\n  line {line}, {key}: {said}" for line, key, said in told)
        count = "a mistake" if len(told) == 1 else f"{len(told)} mistakes"
        raise StopRun(f"{name} has {count}:{listed}\n", next_step=_NEXT_STEP)
    return subsets


class _Reader:
    """Takes the tables of a document one by one."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.mistakes: list[Mistake] = []
        self.general = self._rules((), {k: v for k, v in document.items() if k not in _TABLES})
        self.providers = self._tables("provider", document)
        self.grants = self._tables("grant", document)
        for provider in self.providers:
            if provider not in PROVIDERS:
                said = f"no provider. {meant(provider, PROVIDERS)}"
                self.mistakes.append(Mistake(("provider", provider), said))

    def _tables(self, kind: str, document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        tables = document.get(kind, {})
        if not isinstance(tables, dict):
            self.mistakes.append(
                Mistake((kind,), f"expected tables such as [{kind}.NAME], found {_found(tables)}")
            )
            return {}
        found = {}
        for name, table in tables.items():
            if isinstance(table, dict):
                found[name] = self._rules((kind, name), table)
            else:
                said = f"expected a table such as [{kind}.NAME], found {_found(table)}"
                self.mistakes.append(Mistake((kind, name), said))
        return found

    def _rules(self, path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
        try:
            rules = Rules.model_validate(table)
        except ValidationError as error:
            self.mistakes += (Mistake((*path, *map(str, where)), said) for where, said in _told(error))
            return {}
        return {name: _plain(value) for name, value in rules if value is not None}


def _told(error: ValidationError) -> Iterator[tuple[tuple[int | str, ...], str]]:
    for each in error.errors(include_url=False):
        where, kind = each["loc"], each["type"]
        if kind == "extra_forbidden":
            # Its value is not shown: it may be a secret that belongs elsewhere.
            yield where, f"unknown key. {meant(str(where[0]), (*KEYS, *_TABLES))}"
        elif kind == WORDS:
            yield where, each["msg"]
        else:
            yield where, f"expected {KEYS[str(where[0])]}, found {_found(each['input'])}"


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return int(datetime.combine(value, time(), UTC).timestamp())
    return tuple(value) if isinstance(value, list) else value


def _found(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _shown(path: Path) -> str:
    return ".".join(
        part if part.replace("-", "").replace("_", "").isalnum() else json.dumps(part) for part in path
    )
