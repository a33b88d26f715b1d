"""Writes the reference pages: `python -m docs.reference`, or `make docs`."""

from docs.reference import FOLDER, PAGES

for name, make in PAGES.items():
    (FOLDER / name).write_text(make(), encoding="utf-8")
