"""Figures as Dagster metadata, so that the UI alone shows what an asset holds.

Belongs here: putting a drawn Figure into metadata. Does not belong here: what is drawn (`trading/reports/drawings.py`).
"""

import base64
import io
from typing import Any

import dagster as dg

LARGEST_BYTES = 60_000  # of the base64 text; the event log keeps every picture


def image(figure: Any, alt: str = "picture") -> dg.MetadataValue:
    """A matplotlib Figure as a Markdown picture, at the best resolution that stays under LARGEST_BYTES."""
    for dots_per_inch in (100, 80, 60, 45, 30):
        text = base64.b64encode(_png(figure, dots_per_inch)).decode()
        if len(text) <= LARGEST_BYTES:
            return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{text})")
    return dg.MetadataValue.md(f"_{alt}: the picture is too large for the event log; it is in the report._")


def _png(figure: Any, dots_per_inch: int) -> bytes:
    """White behind the drawing (the UI may be dark, the ink is not), 64 colours: a third of the bytes."""
    from PIL import Image

    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dots_per_inch, facecolor="white")
    Image.open(drawn).convert("RGB").quantize(64).save(content, format="png", optimize=True)
    return content.getvalue()
