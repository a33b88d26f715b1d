"""The page of every asset, and of what runs and checks them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from docs.reference.blocks import listed, page, paragraph, table
from docs.reference.tables import section_of
from mail_pipeline.checks import CHECKS
from mail_pipeline.definitions import defs
from mail_pipeline.jobs import JOBS
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.schedules import SCHEDULES
from mail_pipeline.sensors import SENSORS


def assets() -> str:
    """Return the page of every asset, check, job, schedule and sensor."""
    return page(
        [
            "# Assets, checks, jobs, schedules, sensors",
            paragraph(
                "What the Dagster UI shows. A partition of `mailboxes` is a mailbox, one of `grants` a "
                "connected account. Schedules and sensors are on from the start, and switched off under "
                "*Automation*."
            ),
            "## Assets",
            *_assets(),
            "## What a run can be told",
            *_configurations(),
            "## Checks",
            "They change nothing. [Operations](operations.md#red-checks) says what to do where one is red.",
            _checks(),
            "## Jobs",
            _jobs(),
            "## Schedules",
            "Times are UTC, in the words of cron.",
            _schedules(),
            "## Sensors",
            _sensors(),
        ]
    )


def _assets() -> Iterator[str]:
    specs = sorted(defs.resolve_all_asset_specs(), key=lambda spec: (_group(spec), _name(spec)))
    yield table(
        ("asset", "group", "partitions", "made from"),
        [
            (
                f"[`{_name(spec)}`](#{_name(spec)})",
                spec.group_name or "",
                getattr(spec.partitions_def, "name", None) or "",
                listed(dep.asset_key.to_user_string() for dep in spec.deps),
            )
            for spec in specs
        ],
    )
    for spec in specs:
        yield f"### {_name(spec)}"
        yield paragraph(spec.description or "")
        yield from _table_of(spec)


_GROUPS = ("accounts", "mail", "directory", "live", "marts")
"""In the order in which data goes through them."""


def _group(spec: dg.AssetSpec) -> int:
    return _GROUPS.index(spec.group_name) if spec.group_name in _GROUPS else len(_GROUPS)


def _name(spec: dg.AssetSpec) -> str:
    return spec.key.to_user_string()


def _table_of(spec: dg.AssetSpec) -> Iterator[str]:
    name = spec.metadata.get("dagster/table_name")
    if name in TABLES:
        yield f"Table: [`{name}`](tables.md#{section_of(name)})."


def _configurations() -> Iterator[str]:
    """Yield the configuration of runs, once for all assets that have the same."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for definition in defs.resolve_asset_graph().assets_defs:
        if not definition.is_executable or definition.check_keys:
            continue
        schema = definition.op.config_schema.as_field().config_type
        fields = getattr(schema, "fields", None) or {}
        told = tuple((f"`{name}`", field.description or "") for name, field in sorted(fields.items()))
        if told:
            found.setdefault(told, []).append(definition.op.name)
    for told, ops in sorted(found.items(), key=lambda item: sorted(item[1])):
        yield f"{listed(ops)}:"
        yield table(("field", ""), list(told))


def _checks() -> str:
    return table(
        ("check", "of", "passes when"),
        [
            (f"`{check.name}`", f"`{check.asset_key.to_user_string()}`", check.description or "")
            for definition in CHECKS
            for check in definition.check_specs
        ],
    )


def _jobs() -> str:
    return table(
        ("job", "", "assets"), [(f"`{job.name}`", job.description or "", _selected(job)) for job in JOBS]
    )


def _selected(job: Any) -> str:
    selection = getattr(job, "selection", None)
    if selection is None:
        return ""
    return listed(key.to_user_string() for key in selection.resolve(defs.resolve_asset_graph()))


def _schedules() -> str:
    return table(
        ("schedule", "when", "job", ""),
        [
            (f"`{each.name}`", f"`{each.cron_schedule}`", f"`{each.job_name}`", each.description or "")
            for each in SCHEDULES
        ],
    )


def _sensors() -> str:
    return table(
        ("sensor", "every", "job", ""),
        [
            (
                f"`{each.name}`",
                f"{each.minimum_interval_seconds} s",
                listed(target.job_name for target in each.targets),
                each.description or "",
            )
            for each in SENSORS
        ],
    )
