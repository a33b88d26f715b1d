"""Where the columns of the marts come from, as the statements say, is true and agrees with the graph."""

import dagster as dg
import pytest
from sqlglot import exp, parse_one

from mail_pipeline.definitions import defs
from mail_pipeline.lake.mart_tables import FACTS, MART_VIEWS, MARTS
from mail_pipeline.lake.schema import TABLES
from mail_pipeline.marts.lineage import STATEMENTS, column_sources, parents


def test_every_mart_and_every_view_over_them_has_its_lineage():
    assert set(STATEMENTS) == {table.name for table in (*FACTS, *MARTS, *MART_VIEWS)}


@pytest.mark.parametrize("name", STATEMENTS)
def test_sources_are_columns_that_there_are(name: str):
    found = column_sources(name)

    assert tuple(found) == TABLES[name].column_names
    for sources in found.values():
        assert all(column in TABLES[table].column_names for table, column in sources)
        assert name not in {table for table, _ in sources}


@pytest.mark.parametrize(
    ("column", "sources"),
    [
        ("own_addresses.address", ["grants.email", "grants.extra", "message_participants.address_canonical"]),
        ("message_facts.local_at", ["messages.date"]),
        ("message_facts.in_sent", ["all_folders.role"]),
        ("correspondence.name", ["message_participants.name"]),
        ("daily_volume.bytes", ["message_facts.attachment_bytes", "message_facts.body_bytes"]),
        ("replies.seconds", ["message_facts.date"]),
        ("response_times.replies", []),
        ("weekday_hours.weekday", ["daily_volume.day"]),
        ("awaiting_us.days", ["thread_stats.waiting_since"]),
    ],
)
def test_a_column_that_is_computed_names_what_it_is_computed_from(column: str, sources: list[str]):
    table, _, name = column.partition(".")
    assert [".".join(source) for source in column_sources(table)[name]] == sources


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_a_mart_reads_is_what_a_parser_finds_in_its_statement(name: str):
    tables = parse_one(STATEMENTS[name], dialect="duckdb").find_all(exp.Table)
    read = {table.name.removesuffix("_now").removesuffix("_new") for table in tables}
    later = list(STATEMENTS)[list(STATEMENTS).index(name) :]

    assert set(parents(name)) == (read & TABLES.keys()) - set(later)


def test_a_mart_reads_every_table_its_columns_come_from_and_none_made_after_it():
    order = list(STATEMENTS)
    for name in STATEMENTS:
        named = {table for sources in column_sources(name).values() for table, _ in sources}
        # The grants come as a list of addresses.
        assert named - {"grants"} <= set(parents(name))
        assert not set(parents(name)) & set(order[order.index(name) :])


def test_an_asset_stands_below_every_asset_its_columns_come_from():
    graph = defs.resolve_asset_graph()
    assets = {key.to_user_string() for key in graph.get_all_asset_keys()}
    for name in STATEMENTS:
        named = {
            table.removeprefix("all_") for sources in column_sources(name).values() for table, _ in sources
        }
        above = {key.to_user_string() for key in graph.get_ancestor_asset_keys(dg.AssetKey(name))}
        # Parts of mail are no assets: they come with the messages.
        assert {table if table in assets else "messages" for table in named} <= above, name
