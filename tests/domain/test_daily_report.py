"""The daily report: its numbers by hand, escaping, self-containment, and the quiet and the empty day."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import fields, replace
from datetime import date
from html.parser import HTMLParser

import pandas as pd
import pytest

from trading.analytics.correlation import matrix
from trading.frames import (
    ATTRIBUTION,
    BREAKS,
    CORRELATION,
    EQUITY,
    ORDERS,
    PNL,
    POSITIONS,
    ROLL_STATES,
    VIOLATIONS,
    VOLATILITY,
    Dataset,
    empty,
    to_pandas,
    to_table,
)
from trading.reports import drawings, html
from trading.reports.daily import (
    DailyReport,
    attention,
    causes_shown,
    pnl_by,
    render,
    strongest_pairs,
    summary,
)

SESSION = date(2022, 2, 25)
BEFORE = date(2022, 2, 24)


def frame(dataset: Dataset, *rows: tuple[object, ...]) -> pd.DataFrame:
    """Rows of a dataset in pandas, exactly as a store hands them out."""
    wide = pd.DataFrame([dict(zip(dataset.schema.names, row, strict=True)) for row in rows])
    return to_pandas(to_table(wide, dataset)) if rows else to_pandas(empty(dataset))


def causes_of(session: date, price: float) -> list[dict[str, object]]:
    """Gold gained `price` by its price and 20 by trades, and paid 5."""
    row = dict.fromkeys(ATTRIBUTION.schema.names, 0.0) | {
        "strategy": "trend", "instrument": "GOLD", "contract": 20220400, "session": session, "asset_class": "metals",
        "currency": "USD", "price_base": price, "trades_base": 20.0, "commission_base": -5.0,
    }  # fmt: skip
    return [row | {"explained_base": price + 15.0, "total_base": price + 15.5, "residual_base": 0.5}]


def busy_day() -> DailyReport:
    """Two instruments, a refused order, a break and an error that tries to break out of the page."""
    today = (
        ("trend", "GOLD", 20220400, SESSION, "metals", "USD", 100.0, 20.0, -5.0, 115.0),
        ("trend", "BUND", 20220300, SESSION, "bonds", "EUR", -300.0, 0.0, 0.0, -300.0),
    )
    attributed = pd.DataFrame([*causes_of(BEFORE, 1000.0), *causes_of(SESSION, -150.0)])
    yesterday = ("trend", "GOLD", 20220400, BEFORE, "metals", "USD", 1000.0, 0.0, 0.0, 1000.0)
    return DailyReport(
        session=SESSION,
        base_currency="USD",
        pnl=frame(PNL, *today),
        month=frame(PNL, yesterday, *today),
        equity=frame(
            EQUITY,
            ("USD", BEFORE, 0.0, 1000.0, 1.0, 1000.0, 0.0, 1001000.0),
            ("USD", SESSION, 0.0, 115.0, 1.0, 115.0, 0.0, 1000815.0),
            ("EUR", SESSION, 0.0, -250.0, 1.2, -300.0, 0.0, 1000815.0),
        ),
        positions=frame(
            POSITIONS,
            ("trend", "GOLD", 20220400, SESSION, 2, 1900.0, SESSION, 380000.0),
            ("trend", "BUND", 20220300, SESSION, -1, 165.0, BEFORE, -198000.0),
            ("trend", "CORN", 20221200, SESSION, 0, 600.0, SESSION, 0.0),
        ),
        orders=frame(
            ORDERS,
            ("a", None, "trend", "GOLD", 20220400, SESSION, 1, "target", "sent", 1900.0, None, None),
            (
                "b",
                None,
                "trend",
                "BUND",
                20220300,
                SESSION,
                -900,
                "target",
                "refused",
                165.0,
                None,
                "over the limit of 500",
            ),
        ),
        breaks=frame(
            BREAKS,
            (
                "quantity",
                "GOLD/20220400",
                SESSION,
                "b1",
                SESSION,
                0,
                2.0,
                1.0,
                -1.0,
                0.0,
                None,
                False,
                None,
                "Ask the broker for the fill.",
            ),
        ),
        violations=frame(
            VIOLATIONS,
            ("clean_bars", "input", "spike", "error", "GOLD", SESSION, "x", "close", "1", "<script>alert(1)</script>"),
            ("clean_bars", "output", "gap", "warning", "BUND", SESSION, "", None, None, "No bars on the 24th."),
        ),
        volatility=frame(VOLATILITY, ("GOLD", SESSION, 1900.0, 5.0, 19.0, 19.0, 19.0, 16.0)),
        correlation=frame(
            CORRELATION,
            ("BUND", "BUND", SESSION, 1.0),
            ("BUND", "GOLD", SESSION, -0.25),
            ("GOLD", "GOLD", SESSION, 1.0),
        ),
        roll_states=frame(ROLL_STATES, ("GOLD", SESSION, 20220400, 20220600, date(2022, 3, 1), 4, "roll_soon")),
        attribution=to_pandas(to_table(attributed, ATTRIBUTION)),
        versions=(("configuration", "local", "3f" * 32),),
    )


def empty_day() -> DailyReport:
    day = busy_day()
    frames = [field.name for field in fields(day) if isinstance(getattr(day, field.name), pd.DataFrame)]
    return replace(day, **{name: getattr(day, name).iloc[:0] for name in frames})


@pytest.fixture(scope="module")
def page() -> str:
    return render(busy_day())


class Outline(HTMLParser):
    """Tags, ids, and what the page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.unnamed_pictures = 0
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in {"meta", "br", "link", "img"}:
            self.open.append(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        for name in ("src", "href", "xlink:href"):
            if given.get(name) and not str(given[name]).startswith(("#", "data:")):
                self.fetched.append(str(given[name]))
        self.unnamed_pictures += tag == "svg" and not given.get("aria-label")
        self.headings += [tag] if re.fullmatch("h[1-6]", tag) else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"meta", "br", "link", "img"}:
            return
        assert self.open.pop() == tag, f"</{tag}> closes another tag"


def test_the_day_in_a_few_numbers() -> None:
    assert summary(busy_day()) == {
        "pnl_today_base": -185.0,  # 115 - 300
        "pnl_month_base": 815.0,  # and 1000 the day before
        "account_base": 1000815.0,
        "drawdown_base": -185.0,  # from 1,001,000
        "positions": 2,  # the flat one is not held
        "gross_exposure_base": 578000.0,
        "orders": 2,
        "refused": 1,
        "breaks": 1,
        "violation_errors": 1,
        "violation_warnings": 1,
    }


def test_what_needs_attention_is_said_in_words() -> None:
    assert attention(busy_day()) == ["1 difference with the broker", "1 data error", "1 order refused by risk"]
    twice = replace(busy_day(), breaks=pd.concat([busy_day().breaks] * 2))
    assert attention(twice)[0] == "2 differences with the broker"
    assert attention(empty_day()) == []


def test_profit_and_loss_by_instrument_best_first() -> None:
    rows = pnl_by(busy_day(), "instrument")
    assert rows["instrument"].tolist() == ["GOLD", "BUND"]
    assert rows["total_base"].tolist() == [115.0, -300.0]
    assert rows["month_base"].tolist() == [1115.0, -300.0]


def test_profit_and_loss_by_cause_of_the_day_and_of_the_month(page: str) -> None:
    rows = causes_shown(busy_day()).set_index("cause")
    assert rows.loc["price"].tolist() == [-150.0, 850.0]
    assert rows.loc["trades"].tolist() == [20.0, 40.0]
    assert rows.loc["commission"].tolist() == [-5.0, -10.0]
    assert rows.loc["residual"].tolist() == [0.5, 1.0]
    assert rows.loc["total"].tolist() == [-134.5, 881.0]
    assert list(rows.index)[-2:] == ["residual", "total"]
    assert "P&amp;L of the month by cause" in page
    assert "Nothing was attributed" in render(empty_day())


def test_an_instrument_sold_earlier_in_the_month_keeps_its_line() -> None:
    day = busy_day()
    rows = pnl_by(replace(day, pnl=day.pnl.iloc[1:]), "instrument")
    assert rows.set_index("instrument").loc["GOLD", ["total_base", "month_base"]].tolist() == [0.0, 1115.0]


def test_the_correlation_matrix_is_symmetric() -> None:
    square = matrix(busy_day().correlation)
    assert square.to_numpy().tolist() == [[1.0, -0.25], [-0.25, 1.0]]
    pairs = strongest_pairs(busy_day().correlation)
    assert pairs[["instrument_a", "instrument_b", "correlation"]].to_numpy().tolist() == [["BUND", "GOLD", -0.25]]


def test_the_page_shows_every_part(page: str) -> None:
    for text in ("−185", "+815", "1,000,815", "over the limit of 500", "Ask the broker for the fill.", "2022-03-01",
                 "No bars on the 24th.", "roll soon", "3f" * 32, "of 2022-02-24"):  # fmt: skip
        assert text in page, text
    assert page.count("<svg") == 8


def test_nothing_from_outside_breaks_out_of_the_page(page: str) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_page_is_one_well_formed_file_that_fetches_nothing(page: str) -> None:
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.fetched == []
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert len(outline.ids) == len(set(outline.ids)), "ids repeat"


def test_the_page_can_be_read_aloud(page: str) -> None:
    outline = Outline()
    outline.feed(page)
    assert outline.unnamed_pictures == 0
    assert outline.headings[0] == "h1"
    assert outline.headings.count("h1") == 1
    assert page.count("<table") == page.count("<caption")
    assert "highest GOLD +115, lowest BUND −300" in page


def test_equal_reports_give_equal_pages(page: str) -> None:
    assert render(busy_day()) == page


def test_an_empty_day_is_a_page_too() -> None:
    page = render(empty_day())
    for text in ("Nothing needs attention", "The book is flat", "nothing to show", "not valued yet"):
        assert text in page, text
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL).lower().split()


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (html.money(1234.5), "+1,234"),
        (html.money(-0.2), "0"),
        (html.money(float("nan")), "–"),
        (html.number(-1234.567), "−1,234.57"),
        (html.number(pd.NA), "–"),
        (html.contract(20220300), "2022-03"),
        (html.contract(20220315.0), "2022-03-15"),
        (html.contract(None), "–"),
        (html.day(pd.Timestamp("2022-02-25")), "2022-02-25"),
        (html.day(pd.NaT), "–"),
    ],
)
def test_numbers_as_people_read_them(shown: str, expected: str) -> None:
    assert shown == expected


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_a_few_sessions_are_named_each_and_never_by_the_hour(count: int) -> None:
    days = pd.bdate_range("2022-02-24", periods=count)
    drawn = drawings.equity_curve(pd.Series(range(count), index=days, dtype=float), "USD")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn.savefig(io.BytesIO(), format="png")
    (axes,) = drawn.axes
    names = ["Feb 24", "Feb 25", "Feb 28", "Mar 1", "Mar 2", "Mar 3"]
    assert [label.get_text() for label in axes.get_xticklabels()] == names[:count]
