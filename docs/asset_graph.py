"""Draws the asset graph as an SVG: one box an asset, columns by how far it is from what vendors deliver.

Belongs here: laying boxes out and drawing them. Does not belong here: which assets there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from statistics import mean

Graph = Mapping[str, tuple[str, frozenset[str]]]  # name -> its group and the names it is made from
Places = Mapping[str, tuple[float, float]]

BOX_WIDTH, BOX_HEIGHT, ACROSS, DOWN, MARGIN = 148, 26, 186, 44, 24
COLOURS = {
    "reference": "#6b5b4b",
    "raw": "#8a6d3b", "clean": "#2a7f62", "continuous": "#1f6fb2", "analytics": "#7a4fa3", "signals": "#b0483c",
    "book": "#444c56", "reconciliation": "#ad6a00", "reports": "#0a7d8c", "backups": "#5f7a1f", "backtests": "#a33b77",
    "quality": "#c2410c", "close": "#15803d", "risk": "#9f1239",
}  # fmt: skip
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#fff}.legend{fill:#57606a}"
    "path{fill:none;stroke:#8b949e;stroke-width:1.1;opacity:.7}"
)


def asset_graph() -> Graph:
    """The assets of the code location."""
    from pipelines.definitions import defs

    graph = defs.resolve_asset_graph()
    nodes = sorted((graph.get(key) for key in graph.get_all_asset_keys()), key=lambda node: node.key)
    return {
        node.key.to_user_string(): (str(node.group_name), frozenset(key.to_user_string() for key in node.parent_keys))
        for node in nodes
    }


def depths(graph: Graph) -> dict[str, int]:
    """How many steps an asset is from the start, by the longest way."""
    found: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in found:
            found[name] = 1 + max((depth(parent) for parent in graph[name][1] if parent in graph), default=-1)
        return found[name]

    for name in graph:
        depth(name)
    return found


def places(graph: Graph) -> dict[str, tuple[float, float]]:
    """Upper left corner of each box. In its column an asset stands at the mean height of what it is made from."""
    depth, rows = depths(graph), dict[str, float]()
    for column in range(max(depth.values()) + 1):
        names = [name for name in graph if depth[name] == column]
        order = list(COLOURS)
        wish = {n: mean([rows[p] for p in graph[n][1] if p in rows] or [0.0]) for n in names}
        names.sort(key=lambda name: (wish[name], order.index(graph[name][0]), name))
        top = mean(wish.values()) - (len(names) - 1) / 2
        rows |= {name: top + place for place, name in enumerate(names)}
    highest = min(rows.values())
    return {n: (MARGIN + depth[n] * ACROSS, MARGIN + 30 + (rows[n] - highest) * DOWN) for n in graph}


def svg() -> str:
    """The whole picture; the same graph gives the same text."""
    graph = asset_graph()
    at = places(graph)
    width = max(x for x, _ in at.values()) + BOX_WIDTH + MARGIN
    height = max(y for _, y in at.values()) + BOX_HEIGHT + MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">'
    parts = [head, "<title>The asset graph of Daybook</title>", f"<style>{STYLE}</style>"]
    parts += [f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>', *_legend(), *_edges(graph, at)]
    return "\n".join([*parts, *_boxes(graph, at), "</svg>"]) + "\n"


def _legend() -> Iterator[str]:
    for place, (group, colour) in enumerate(COLOURS.items()):
        x = MARGIN + place * 118
        yield f'<rect x="{x}" y="10" width="12" height="12" rx="2" fill="{colour}"/>'
        yield f'<text class="legend" x="{x + 17}" y="20">{group}</text>'


def _edges(graph: Graph, at: Places) -> Iterator[str]:
    for name, (_, parents) in graph.items():
        for parent in sorted(parents & set(graph)):
            (x, y), (u, v) = at[parent], at[name]
            x, y, v = x + BOX_WIDTH, y + BOX_HEIGHT / 2, v + BOX_HEIGHT / 2
            yield f'<path d="M{x:.0f} {y:.1f}C{x + 34:.0f} {y:.1f} {u - 34:.0f} {v:.1f} {u:.0f} {v:.1f}"/>'


def _boxes(graph: Graph, at: Places) -> Iterator[str]:
    for name, (group, _) in graph.items():
        x, y = at[name]
        yield (
            f'<rect x="{x:.0f}" y="{y:.1f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" fill="{COLOURS[group]}"/>'
            f'<text x="{x + BOX_WIDTH / 2:.0f}" y="{y + 17:.1f}" text-anchor="middle">{escape(name)}</text>'
        )
