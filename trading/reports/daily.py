"""The daily report: one page that a person reads after the close, with everything it needs inside.

Belongs here: what the page says, as a pure function of the day's frames. Does not belong here: reading the frames,
where the page is written (`assets/reports.py`), or how it looks (`daily.html.j2`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd

from trading.analytics.correlation import matrix
from trading.book.period import by_cause, day_and_month
from trading.reports import break_ages, drawings, html

SHOWN_VIOLATIONS = 20
Row = Mapping[str, Any]


@dataclass(frozen=True)
class DailyReport:
    """The frames of one session, in pandas, with the columns of their datasets in `trading.frames`.

    All but three hold rows of `session` only: `month` holds the P&L rows of the month up to the session, `attribution`
    those of P&L by cause, `equity` those of the account's history up to it. `versions` says what the page was made
    from: rows (what, version, hash).
    """

    session: date
    base_currency: str
    pnl: pd.DataFrame
    month: pd.DataFrame
    equity: pd.DataFrame
    positions: pd.DataFrame
    orders: pd.DataFrame
    breaks: pd.DataFrame
    violations: pd.DataFrame
    volatility: pd.DataFrame
    correlation: pd.DataFrame
    roll_states: pd.DataFrame
    attribution: pd.DataFrame
    versions: tuple[tuple[str, str, str], ...] = field(default_factory=tuple)


def render(report: DailyReport) -> str:
    """The page as one self-contained HTML document. Equal reports give equal text; everything in it is escaped."""
    page: str = html.template("daily.html.j2").render(
        report=report,
        summary=summary(report),
        attention=attention(report),
        pictures=_pictures(report),
        **_tables(report),
    )
    return page


def summary(report: DailyReport) -> dict[str, float | int]:
    """The day in a few numbers: money in base currency, the rest counts. The account is NaN before any equity."""
    account = account_curve(report.equity)
    severity = report.violations["severity"]
    return {
        "pnl_today_base": float(report.pnl["total_base"].sum()),
        "pnl_month_base": float(report.month["total_base"].sum()),
        "account_base": float(account.iloc[-1]) if len(account) else float("nan"),
        "drawdown_base": float(account.iloc[-1] - account.max()) if len(account) else float("nan"),
        "positions": int((report.positions["quantity_contracts"] != 0).sum()),
        "gross_exposure_base": float(report.positions["notional_base"].abs().sum()),
        "orders": len(report.orders),
        "refused": int((report.orders["status"] == "refused").sum()),
        "breaks": len(report.breaks),
        "violation_errors": int((severity == "error").sum()),
        "violation_warnings": int((severity == "warning").sum()),
    }


def attention(report: DailyReport) -> list[str]:
    """What a person must look at, as short phrases; empty on a quiet day."""
    counts = summary(report)
    words = {
        "breaks": ("difference with the broker", "differences with the broker"),
        "violation_errors": ("data error", "data errors"),
        "refused": ("order refused by risk", "orders refused by risk"),
    }
    return [f"{counts[key]} {one if counts[key] == 1 else many}" for key, (one, many) in words.items() if counts[key]]


def account_curve(equity: pd.DataFrame) -> pd.Series:
    """The account in base currency by session, from EQUITY rows (which repeat it for each currency)."""
    return equity.groupby("session")["account_base"].last()


def pnl_by(report: DailyReport, *columns: str) -> pd.DataFrame:
    """P&L of the session, its three parts, and of the month, by columns; best of the session first."""
    parts = ["held_base", "traded_base", "commission_base", "total_base"]
    today = report.pnl.groupby(list(columns))[parts].sum()
    month = report.month.groupby(list(columns))["total_base"].sum().rename("month_base")
    both = today.join(month, how="outer").fillna(0.0)
    return both.sort_values(["total_base", "month_base"], ascending=False).reset_index()


def causes_shown(report: DailyReport) -> pd.DataFrame:
    """Each cause of the session's and the month's P&L, then what has none and the total; none before any session was
    attributed."""
    rows = report.attribution
    return day_and_month(rows, report.session) if len(rows) else pd.DataFrame()


def strongest_pairs(rows: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """The pairs of different instruments with the largest absolute correlation, strongest first."""
    pairs = rows[(rows["instrument_a"] != rows["instrument_b"]) & rows["correlation"].notna()]
    return pairs.reindex(pairs["correlation"].abs().sort_values(ascending=False, kind="stable").index).head(count)


def _tables(report: DailyReport) -> dict[str, Any]:
    found = report.violations
    held = report.positions[report.positions["quantity_contracts"] != 0]
    return {
        "by_instrument": _rows(pnl_by(report, "instrument", "asset_class")),
        "by_strategy": _rows(pnl_by(report, "strategy")),
        "by_asset_class": _rows(pnl_by(report, "asset_class")),
        "by_cause": _rows(causes_shown(report)),
        "positions": _rows(held.sort_values(["strategy", "instrument", "contract"])),
        "orders": _rows(report.orders.sort_values(["status", "order_id"])),
        "breaks": _rows(report.breaks.sort_values(["kind", "item"])),
        "layers": _layers(found),
        "violations": _rows(_worst_first(found).head(SHOWN_VIOLATIONS)),
        "volatility": _rows(report.volatility.sort_values("annual_percent", ascending=False)),
        "pairs": _rows(strongest_pairs(report.correlation)),
        "rolls": _rows(_next_first(report.roll_states)),
    }


def _layers(found: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Errors and warnings of each layer, also where there are none."""
    counts = found.groupby(["layer", "severity"]).size()
    return [
        (layer, int(counts.get((layer, "error"), 0)), int(counts.get((layer, "warning"), 0)))
        for layer in ("input", "processing", "output")
    ]


def _worst_first(found: pd.DataFrame) -> pd.DataFrame:
    return found.sort_values(["severity", "layer", "dataset", "series"], kind="stable")  # `error` before `warning`


def _next_first(states: pd.DataFrame) -> pd.DataFrame:
    return states.sort_values(["days_to_roll", "instrument"], na_position="last")


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _pictures(report: DailyReport) -> dict[str, Any]:
    unit = report.base_currency
    account = account_curve(report.equity)
    counts = summary(report)
    return {
        "account": html.inline_svg(
            drawings.equity_curve(account, unit, "Account"),
            "account",
            f"Line of the account in {unit}, {len(account)} sessions, now {html.number(counts['account_base'], 0)}.",
        ),
        "drawdown": html.inline_svg(
            drawings.drawdown(account, unit),
            "drawdown",
            f"Distance below the account's highest value, now {html.number(counts['drawdown_base'], 0)} {unit}.",
        ),
        "pnl": html.inline_svg(
            drawings.pnl_bars(report.pnl, "instrument", unit), "pnl", _said(report.pnl, "total_base", "P&L")
        ),
        "causes": _causes_picture(report, unit),
        "breaks": html.inline_svg(
            break_ages.breaks_by_age(report.breaks),
            "breaks",
            f"Bars of {counts['breaks']} open breaks by the sessions since they were opened; they are listed above.",
        ),
        "exposure": html.inline_svg(
            drawings.exposure_bars(report.positions, unit=unit),
            "exposure",
            _said(report.positions, "notional_base", "Notional exposure"),
        ),
        **_risk_pictures(report),
    }


def _risk_pictures(report: DailyReport) -> dict[str, Any]:
    return {
        "volatility": html.inline_svg(
            drawings.volatility_bars(report.volatility),
            "volatility",
            "Bars of annual volatility by instrument; the numbers are in the table below.",
        ),
        "correlation": html.inline_svg(
            drawings.correlation_heat_map(matrix(report.correlation)),
            "correlation",
            "Heat map of correlations between instruments; the strongest pairs are in the table below.",
        ),
    }


def _causes_picture(report: DailyReport, unit: str) -> Any:
    """The month's amount of each cause and of what has none."""
    amounts = by_cause(report.attribution).drop("total")
    said = "Bars that lead from nothing to the month's P&L, one a cause; the numbers are in the table beside it."
    return html.inline_svg(drawings.waterfall(amounts, "P&L of the month by cause", unit), "causes", said)


def _said(rows: pd.DataFrame, column: str, what: str) -> str:
    """What a bar picture shows, in words: its extremes."""
    total = rows.groupby("instrument")[column].sum().sort_values()
    if total.empty:
        return f"{what} by instrument: nothing to show."
    low, high = [f"{name} {html.money(value)}" for name, value in (total.iloc[[0, -1]]).items()]
    return f"{what} by instrument: highest {high}, lowest {low}."
