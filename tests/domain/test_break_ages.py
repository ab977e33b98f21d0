"""Open breaks counted by age and by what they mean. Does not belong here: how pictures look."""

import pandas as pd

from trading.reports.break_ages import breaks_by_age, counted

ROWS = pd.DataFrame(
    [("quantity", 0, False, None), ("trade", 1, False, 0.1), ("trade", 1, False, None), ("cash", 4, False, 0.01),
     ("quantity", 5, True, None), ("stale", 10, False, None), ("price", 400, False, 0.2)],
    columns=["kind", "age_sessions", "timing", "tolerance"],
)  # fmt: skip


def test_breaks_are_counted_by_age_and_meaning() -> None:
    table = counted(ROWS)
    assert list(table.index) == ["new", "1 session", "2 to 4", "5 to 9", "10 and more"]
    assert table["stops the close"].tolist() == [1, 1, 0, 0, 1]
    assert table["warns"].tolist() == [0, 1, 1, 0, 1]
    assert table["known to be late"].tolist() == [0, 0, 0, 1, 0]
    assert int(counted(ROWS.iloc[:0]).to_numpy().sum()) == 0


def test_each_count_is_written_into_its_bar() -> None:
    (axes,) = breaks_by_age(ROWS).axes
    assert sorted(text.get_text() for text in axes.texts if text.get_text()) == ["1"] * 7
    assert [label.get_text() for label in axes.get_xticklabels()][0::4] == ["new", "10 and more"]
    assert [label.get_text() for label in axes.get_legend().get_texts()] == [
        "stops the close", "warns", "known to be late"
    ]  # fmt: skip
    (empty,) = breaks_by_age(ROWS.iloc[:0]).axes
    assert [text.get_text() for text in empty.texts] == ["nothing to show"]
