"""HTML for reports: pictures inside the page, numbers as people read them, templates with everything escaped.

Belongs here: what every HTML report shares. Does not belong here: what a report says (one file each beside this one,
with its template).
"""

from __future__ import annotations

import io
import re
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd

from trading.reports.drawings import BLUE, INK, MINUS, VERMILION, Figure

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

MISSING = "\N{EN DASH}"
# Colours of the drawing that follow the page's light or dark theme.
_THEMED = {INK: "currentColor", BLUE: "var(--blue)", VERMILION: "var(--vermilion)"}


def inline_svg(figure: Figure, name: str, alt: str) -> Markup:
    """A drawing as an `<svg>` inside the page: text stays text, ink takes the page's colour, `alt` is read aloud.

    `name` (letters) keeps its ids apart from other drawings of the page. The same figure gives the same bytes.
    """
    from markupsafe import Markup, escape

    svg = re.sub(r"<metadata>.*?</metadata>", "", _svg(figure), flags=re.DOTALL)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\1{name}-", svg)
    for fixed, themed in _THEMED.items():
        svg = re.sub(fixed, themed, svg, flags=re.IGNORECASE)
    svg = re.sub(r'<svg[^>]*?viewBox="([^"]+)"[^>]*>', rf'<svg viewBox="\1" @@ {_width(svg)}>', svg, count=1)
    return Markup(svg.replace("@@", f'role="img" aria-label="{escape(alt)}"', 1))


def template(name: str) -> Any:
    """A template that lies beside this file, with the filters `money`, `number`, `contract` and `day`."""
    return _environment().get_template(name)


def money(value: object) -> str:
    """Whole units with sign and thousands: +1,234. Missing is a dash."""
    return _signed(value, ",.0f")


def number(value: object, digits: int = 2) -> str:
    """A number with thousands, without a plus sign. Missing is a dash."""
    text = _signed(value, f",.{digits}f")
    return text.removeprefix("+")


def contract(value: object) -> str:
    """20220300 as 2022-03, 20220315 as 2022-03-15. Missing is a dash."""
    if _absent(value):
        return MISSING
    digits = f"{int(value):08d}"  # type: ignore[call-overload]
    month = f"{digits[:4]}-{digits[4:6]}"
    return month if digits[6:] == "00" else f"{month}-{digits[6:]}"


def day(value: object) -> str:
    """A date as YYYY-MM-DD. Missing is a dash."""
    if _absent(value):
        return MISSING
    return (value if isinstance(value, date) else pd.Timestamp(str(value))).strftime("%Y-%m-%d")


def _signed(value: object, form: str) -> str:
    if _absent(value):
        return MISSING
    shown = f"{float(value):+{form}}"  # type: ignore[arg-type]
    if not shown.strip("+-0.,"):
        return shown[1:]  # a zero has no sign
    return shown.replace("-", MINUS)


def _absent(value: object) -> bool:
    return value is None or bool(pd.isna(value))  # type: ignore[call-overload]


def _svg(figure: Figure) -> str:
    """SVG whose ids depend on nothing but the drawing."""
    import matplotlib

    content = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "daybook"}):
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def _width(svg: str) -> str:
    """The drawing's own width as the largest it is shown at."""
    found = re.search(r'width="([\d.]+)pt"', svg)
    return f'style="max-width:{float(found.group(1)) * 4 / 3:.0f}px"' if found else ""


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("trading", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(money=money, number=number, contract=contract, day=day)
    return environment
