"""Runs as the UI's launcher makes them, and what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mail_pipeline.definitions import defs
from mail_pipeline.launch import sync_partitions
from mail_pipeline.partitions import PARTITIONS, mailbox_partitions, range_tags
from mail_pipeline.settings import Settings
from mail_pipeline.simulator import Simulator
from mail_pipeline.sync.accounts import refresh_folders, refresh_grants

CONFIGURED = {
    "backfill": "messages",
    "fetch_attachments": "attachment_files",
    "apply_notifications": "message_updates",
    "reconcile": "reconciliations",
}
"""Which asset of a job takes the run config."""
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
MESSAGES = dg.AssetKey("messages")


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what its first failed step says, causes included."""

    success: bool
    said: str


def run_job(instance: dg.DagsterInstance, job: str, keys: Sequence[str] = (), **config: Any) -> Outcome:
    """Run a job, over the range of these keys where there are some."""
    result = defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        raise_on_error=False,
        tags=range_tags(keys) if keys else {},
        run_config=QUIET | ({"ops": {CONFIGURED[job]: {"config": config}}} if config else {}),
    )
    said = ""
    for event in result.all_events:
        error = event.step_failure_data.error if event.is_step_failure else None
        while error is not None:
            said, error = said + error.message, error.cause
    return Outcome(result.success, said)


def register(instance: dg.DagsterInstance, simulator: Simulator) -> list[str]:
    """List the accounts of a simulator and register their partitions; return the grants' ids."""
    settings = Settings.from_env()
    refresh_grants(settings)
    refresh_folders(settings)
    sync_partitions(instance, settings.data)
    return [mailbox.grant.id for mailbox in simulator.fleet]


def keys_of(instance: dg.DagsterInstance, grant_id: str = "") -> list[str]:
    return [key for key in instance.get_dynamic_partitions(PARTITIONS) if key.startswith(grant_id)]


def states(instance: dg.DagsterInstance) -> dict[str, str | None]:
    """Return what the UI calls each partition of `messages`, None for missing."""
    found = instance.get_status_by_partition(MESSAGES, keys_of(instance), mailbox_partitions) or {}
    return {key: status.value if status else None for key, status in found.items()}


def materializations(instance: dg.DagsterInstance, key: str) -> list[dict[str, Any]]:
    """Return the metadata of a partition's materializations, newest first."""
    records = instance.fetch_materializations(_of(key), limit=100).records
    return [_values(record.asset_materialization) for record in records]


def observations(instance: dg.DagsterInstance, key: str) -> list[dict[str, Any]]:
    """Return the metadata of a partition's observations, newest first."""
    records = instance.fetch_observations(_of(key), limit=100).records
    return [_values(record.asset_observation) for record in records]


def newest(instance: dg.DagsterInstance, asset: str) -> dict[str, Any]:
    """Return the metadata of the newest materialization of an asset without partitions."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None, asset
    return _values(event.asset_materialization)


def newest_of(instance: dg.DagsterInstance, asset: str, key: str) -> dict[str, Any]:
    """Return the metadata of the newest materialization of an asset's partition."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[key])
    [record] = instance.fetch_materializations(wanted, limit=1).records
    return _values(record.asset_materialization)


def _of(key: str) -> dg.AssetRecordsFilter:
    return dg.AssetRecordsFilter(asset_key=MESSAGES, asset_partitions=[key])


def _values(event: dg.AssetMaterialization | dg.AssetObservation | None) -> dict[str, Any]:
    assert event is not None
    return {
        name: [row.data for row in value.records] if isinstance(value, dg.TableMetadataValue) else value.value
        for name, value in event.metadata.items()
    }
