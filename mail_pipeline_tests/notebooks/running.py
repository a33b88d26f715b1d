"""Runs notebooks as people do, and keeps what they show."""

import base64
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from PIL import Image

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ("tour", "operations")
SECONDS = 120
_OWN = ("NYLAS_", "MAIL_PIPELINE_", "DAGSTER_")
_STRICT = "import warnings\nwarnings.simplefilter('error')"
_TELL = """
import json
import pandas as pd
warnings.resetwarnings()
frames = {name: value for name, value in globals().items() if isinstance(value, pd.DataFrame)}
print(json.dumps({
    name: json.loads(frame.to_json(orient="records", date_format="iso")) for name, frame in frames.items()
}))
"""


@dataclass(frozen=True)
class Shown:
    """An executed notebook."""

    notebook: nbformat.NotebookNode
    tables: dict[str, list[dict[str, Any]]]
    """Every dataframe it ended with, as rows by the name of its variable."""

    def printed(self, cell_id: str) -> str:
        """Return what a cell printed."""
        return "".join(each.text for each in self._outputs(cell_id) if each.output_type == "stream")

    def pictures(self) -> dict[str, bytes]:
        """Return the pictures as PNG, by the id of their cell."""
        return {
            cell.id: base64.b64decode(output.data["image/png"])
            for cell in self.notebook.cells
            if cell.cell_type == "code"
            for output in cell.outputs
            if "image/png" in output.get("data", ())
        }

    def save(self, path: Path) -> None:
        """Write it as one HTML page."""
        page, _ = HTMLExporter().from_notebook_node(self.notebook)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")

    def _outputs(self, cell_id: str) -> list[nbformat.NotebookNode]:
        (cell,) = (each for each in self.notebook.cells if each.id == cell_id)
        return list(cell.outputs)


def kept(name: str) -> nbformat.NotebookNode:
    """Read a notebook as it is kept."""
    found: nbformat.NotebookNode = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    return found


def run(name: str, data: Path) -> Shown:
    """Run every cell, warnings being errors, on this data folder. Raises CellExecutionError."""
    notebook = kept(name)
    own = notebook.cells
    tell = nbformat.v4.new_code_cell(_TELL)
    notebook.cells = [nbformat.v4.new_code_cell(_STRICT), *own, tell]
    outside = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    folder = {"metadata": {"path": str(ROOT / "notebooks")}}
    client = NotebookClient(notebook, timeout=SECONDS, resources=folder)
    client.execute(env={**outside, "MAIL_PIPELINE_DATA": str(data)})
    tables = json.loads(tell.outputs[0].text)
    notebook.cells = own
    return Shown(notebook, tables)


def tile(rows: Sequence[Sequence[bytes]], path: Path, *, gap: int = 24) -> None:
    """Write pictures as one, row by row, in few colours."""
    parts = [[Image.open(io.BytesIO(each)).convert("RGB") for each in row] for row in rows]
    width = max(part.width for row in parts for part in row) + gap
    heights = [max(part.height for part in row) + gap for row in parts]
    whole = Image.new("RGB", (width * max(map(len, parts)), sum(heights)), "white")
    for number, row in enumerate(parts):
        for column, part in enumerate(row):
            whole.paste(part, (column * width, sum(heights[:number])))
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.quantize(256).save(path, optimize=True)
