"""The keys of the configuration file, each with what it takes."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from mail_pipeline.subset.fields import CHOOSABLE, KINDS
from mail_pipeline.subset.folders import ROLE, ROLES

WORDS = "words"
"""The type of pydantic's error where a list has words that are not allowed; its message is ours."""

_ONLY = "message_fields"
_FIELD_LISTS = {_ONLY: "message", **{f"exclude_{kind}_fields": kind for kind in CHOOSABLE}}
"""Keys that list fields, with the kind of object they are fields of."""

_Switch = Annotated[bool | None, Field(description="true or false")]
_Text = Annotated[str, StringConstraints(min_length=1)]
_Fields = Annotated[list[_Text] | None, Field(description='a list of fields, such as ["subject"]')]
_Patterns = Annotated[
    list[_Text] | None,
    Field(description='a list of folder names, patterns or roles, such as ["role:junk", "Private*"]'),
]


def meant(word: str, allowed: Sequence[str]) -> str:
    """Return a question for the allowed word that comes closest, and all that are allowed."""
    close = get_close_matches(word, allowed, n=1)
    question = f"Did you mean {close[0]}? " if close else ""
    return f"{question}Allowed: {', '.join(allowed)}"


class Rules(BaseModel):
    """The keys of one table of the file; None where a key is not set there."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    messages: _Switch = None
    threads: _Switch = None
    contacts: _Switch = None
    calendars: _Switch = None
    events: _Switch = None

    bodies: _Switch = None
    snippets: _Switch = None
    attachments: _Switch = None
    message_fields: _Fields = None
    exclude_message_fields: _Fields = None
    exclude_contact_fields: _Fields = None
    exclude_calendar_fields: _Fields = None
    exclude_event_fields: _Fields = None

    folders: _Patterns = None
    exclude_folders: _Patterns = None
    since: Annotated[date | None, Field(description="a date without quotes, such as 2024-01-31")] = None
    search: Annotated[_Text | None, Field(description="text: a search as the provider writes it")] = None

    hash_addresses: _Switch = None
    keep_domains: _Switch = None

    @field_validator(*_FIELD_LISTS)
    @classmethod
    def _fields_there_are(cls, names: list[str] | None, key: ValidationInfo) -> list[str] | None:
        kind = KINDS[_FIELD_LISTS[key.field_name or ""]]
        allowed = [name for name in kind.fields if key.field_name == _ONLY or name not in kind.always]
        for name in names or ():
            if name in kind.fields and name not in allowed:
                raise _refusal(f"{name} cannot be left out: nothing could be stored without it")
            if name not in allowed:
                raise _refusal(f"{json.dumps(name)} is no such field. {meant(name, allowed)}")
        return names

    @field_validator("folders", "exclude_folders")
    @classmethod
    def _roles_there_are(cls, patterns: list[str] | None) -> list[str] | None:
        for pattern in patterns or ():
            role = pattern.removeprefix(ROLE)
            if pattern.startswith(ROLE) and role not in ROLES:
                raise _refusal(f"{json.dumps(pattern)} names no role of a folder. {meant(role, ROLES)}")
        return patterns


KEYS: Mapping[str, str] = {name: str(field.description) for name, field in Rules.model_fields.items()}
"""Every key, and what it takes, in words."""


def _refusal(text: str) -> PydanticCustomError:
    return PydanticCustomError(WORDS, "{text}", {"text": text})
