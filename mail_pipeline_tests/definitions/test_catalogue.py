"""What the catalogue promises: every asset described, owned and typed, and nothing needs an environment."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mail_pipeline.definitions import defs
from mail_pipeline.lake.schema import TABLES

ROOT = Path(__file__).parents[2]
GROUPS = {
    "grants": "accounts",
    "folders": "accounts",
    "messages": "mail",
    "mailboxes": "mail",
    "attachment_files": "mail",
    "threads": "mail",
    "provider_threads": "mail",
    "contacts": "directory",
    "calendars": "directory",
    "events": "directory",
    "stream_ledger": "directory",
    "message_updates": "live",
    "webhooks": "live",
    "reconciliations": "live",
}
BESIDE_THE_LAKE = {"search_index": "marts", "overview": "upkeep"}
TABLE_OF = {"message_updates": "notifications"}
SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_the_assets_are_these():
    assert {key: spec.group_name for key, spec in SPECS.items()} == GROUPS | BESIDE_THE_LAKE


@pytest.mark.parametrize("key", GROUPS)
def test_each_asset_is_described_owned_and_typed_from_the_schema(key):
    spec = SPECS[key]
    table = TABLES[TABLE_OF.get(key, key)]
    assert (spec.description or "").startswith(table.description)
    assert spec.owners == ["team:data"]
    assert spec.kinds == {"nylas", "duckdb"}
    assert spec.metadata["dagster/table_name"] == table.name
    schema = spec.metadata["dagster/column_schema"]
    assert [(column.name, column.type, column.description) for column in schema.columns] == [
        (column.name, column.type, column.description) for column in table.columns
    ]


def test_the_search_index_is_described_and_owned():
    spec = SPECS["search_index"]
    assert "search('quarterly report')" in (spec.description or "")
    assert spec.owners == ["team:data"]
    assert spec.kinds == {"sqlite", "duckdb"}


def test_the_jobs_are_these_and_described():
    jobs = {job.name: job for job in defs.resolve_all_job_defs() if not job.name.startswith("__")}
    assert set(jobs) == {
        "apply_notifications",
        "backfill",
        "check_tables",
        "fetch_attachments",
        "list_calendars",
        "list_contacts",
        "list_events",
        "list_provider_threads",
        "mirror",
        "reconcile",
        "refresh_accounts",
        "refresh_overview",
        "refresh_search",
        "upkeep",
        "watch_webhooks",
    }
    assert all(job.description for job in jobs.values())


def test_lineage_goes_from_accounts_to_mail_and_on_to_what_keeps_it_current():
    graph = defs.resolve_asset_graph()
    parents = {
        key: {parent.to_user_string() for parent in graph.get(dg.AssetKey(key)).parent_keys} for key in SPECS
    }
    assert parents == {
        "grants": set(),
        "folders": {"grants"},
        "messages": {"folders"},
        "mailboxes": {"messages"},
        "attachment_files": {"messages"},
        "threads": {"messages"},
        "provider_threads": {"grants"},
        "contacts": {"grants"},
        "calendars": {"grants"},
        "events": {"grants"},
        "stream_ledger": {"contacts", "calendars", "events"},
        "message_updates": {"grants"},
        "webhooks": set(),
        "reconciliations": {"messages", "webhooks"},
        "overview": {"mailboxes", "stream_ledger", "message_updates"},
        "search_index": {"messages", "message_updates", "reconciliations"},
    }


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "dagster", "definitions", "validate", "-w", str(ROOT / "workspace.yaml")],
        ["-W", "error", "-c", "import mail_pipeline.definitions"],
    ],
    ids=["validate", "import without a warning"],
)
def test_definitions_load_with_an_empty_environment(tmp_path, command):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
