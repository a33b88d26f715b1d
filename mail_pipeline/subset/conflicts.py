"""Settings each of which is right by itself, and which cannot be kept together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mail_pipeline.errors import StopRun
from mail_pipeline.nylas.native_search import refused_beside_search
from mail_pipeline.subset.lines import Path
from mail_pipeline.subset.resolved import Subsets

_IN_THE_SEARCH = {"google": "after:2024/01/31", "microsoft": "received>=2024-01-31"}
_Conflict = tuple[str, str]
"""The key at fault, and what is wrong."""


def conflicts(subsets: Subsets, providers: Sequence[str]) -> list[tuple[Path, str]]:
    """Return what cannot be kept together, with the place of the key at fault.

    The file does not say of which provider a grant is: what is wrong under some of them only is found where
    that is known, by `check_grant`.
    """
    by_provider = {name: list(_conflicts(subsets, None, name)) for name in providers}
    found = {
        (_place(subsets, None, name, key), said)
        for name, conflicting in by_provider.items()
        for key, said in conflicting
    }
    for grant_id in subsets.grants:
        everywhere = [set(_conflicts(subsets, grant_id, name)) for name in providers]
        found |= {(_place(subsets, grant_id, "", key), said) for key, said in set.intersection(*everywhere)}
    return sorted(found)


def check_grant(subsets: Subsets, grant_id: str, provider: str) -> None:
    """Raise StopRun where what is said of a grant cannot be kept together for its provider."""
    for key, said in _conflicts(subsets, grant_id, provider):
        place = ".".join(_place(subsets, grant_id, provider, key))
        raise StopRun(
            f"The configuration file asks grant {grant_id} for what cannot be: {place}: {said}",
            next_step="Mend the file; docs/configuration.md tells what may stand together.",
        )


def _conflicts(subsets: Subsets, grant_id: str | None, provider: str) -> Iterator[_Conflict]:
    rules = subsets.settings(grant_id, provider)
    yield from _search(rules, provider)
    if rules.get("calendars") is False and rules.get("events") is not False:
        yield "calendars", "events are listed calendar by calendar: set events = false beside it"
    if rules.get("hash_addresses"):
        yield from _hashing(subsets, grant_id, provider)
    elif "keep_domains" in rules:
        yield "keep_domains", "says something only beside hash_addresses = true"


def _search(rules: Mapping[str, Any], provider: str) -> Iterator[_Conflict]:
    if "search" in rules and "since" in rules and refused_beside_search(provider, ["received_after"]):
        instead = _IN_THE_SEARCH[provider]
        yield (
            "search",
            f"{provider} takes no date beside a search: write it into the search ({instead}) and leave "
            "`since` out",
        )


def _hashing(subsets: Subsets, grant_id: str | None, provider: str) -> Iterator[_Conflict]:
    if not subsets.key:
        yield (
            "hash_addresses",
            "needs a key: set the environment variable MAIL_PIPELINE_HASH_KEY (never in this file)",
        )
    subset = subsets.of(grant_id or "", provider)
    told = [name for name, of in (("bodies", "body"), ("snippets", "snippet")) if subset.keeps("message", of)]
    if told:
        yield (
            "hash_addresses",
            f"addresses stand in clear in the text of mail: set {_off(told)} beside it",
        )
    shown = [stream for stream in ("calendars", "events") if subset.wants(stream)]
    if shown and provider == "google":
        yield (
            "hash_addresses",
            f"the ids of Google's calendars are addresses: set {_off(shown)} in [provider.google]",
        )


def _off(switches: Sequence[str]) -> str:
    return " and ".join(f"{each} = false" for each in switches)


def _place(subsets: Subsets, grant_id: str | None, provider: str, key: str) -> Path:
    """Return where a key was set: of the grant, of its provider, or for all."""
    if key in subsets.grants.get(grant_id or "", {}):
        return ("grant", grant_id or "", key)
    if key in subsets.providers.get(provider, {}):
        return ("provider", provider, key)
    return (key,)
