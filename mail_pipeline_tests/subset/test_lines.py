"""Where each key stands, found by the reader itself: quoting, dots and text over lines do not mislead it."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mail_pipeline.subset.lines import line_of, lines_of

TEXT = '''# a comment = 1

since = 2024-01-31
search = """
folders = 3
[provider.google]
"""
exclude_folders = [
    "bodies = false",   # [grant]
    "x",
]
"quoted key" = 1
a.b."c.d" = { inner = 2, "=" = 3 }

[provider . google]   # comment
since = 1
[grant."id = [1]"]
bodies = true
[[many]]
x = 1
'''


def test_each_key_is_found_on_its_line() -> None:
    assert {".".join(path): line for path, line in lines_of(TEXT).items()} == {
        "since": 3,
        "search": 4,
        "exclude_folders": 8,
        "quoted key": 12,
        "a": 13,
        "a.b": 13,
        "a.b.c.d": 13,
        "a.b.c.d.inner": 13,
        "a.b.c.d.=": 13,
        "provider": 15,
        "provider.google": 15,
        "provider.google.since": 16,
        "grant": 17,
        "grant.id = [1]": 17,
        "grant.id = [1].bodies": 18,
        "many": 19,
        "many.x": 20,
    }


def test_what_has_no_line_is_told_with_the_table_around_it() -> None:
    lines = lines_of(TEXT)
    assert line_of(lines, ("exclude_folders", "1")) == 8
    assert line_of(lines, ("provider", "google", "missing")) == 15
    assert line_of(lines, ("nothing",)) is None


_KEYS = st.text(
    st.characters(codec="utf-8", exclude_characters='"\\\x7f', exclude_categories=["C"]), min_size=1
)
_VALUES = st.sampled_from(
    ["1", "true", '"a = 1"', "'''\n[x]\ny = 2\n'''", "[\n  1,\n  2, # ]\n]", "{ k = 1 }"]
)


@given(st.lists(st.tuples(st.sampled_from(["", "t", "t.u"]), _KEYS, _VALUES), max_size=12))
def test_every_key_of_any_document_has_the_line_it_was_written_on(
    written: list[tuple[str, str, str]],
) -> None:
    by_table: dict[str, dict[str, str]] = {}
    for table, key, value in written:
        by_table.setdefault(table, {})[f"_{key}"] = value
    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    for table in sorted(by_table):
        path = tuple(table.split(".")) if table else ()
        if table:
            lines += ["", f"[{table}]  # {table}"]
            expected[path] = len(lines)
        for key, value in by_table[table].items():
            expected[(*path, key)] = len(lines) + 1
            lines += f'"{key}" = {value}'.split("\n")
    text = "\n".join(lines)
    found = lines_of(text)

    assert all(_at(tomllib.loads(text), path) for path in expected)
    assert {path: found.get(path) for path in expected} == expected


def _at(document: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if part not in document:
            return False
        document = document[part]
    return True
