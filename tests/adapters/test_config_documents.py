"""Documents of settings, TOML and YAML: the same values, the right lines, and bounded refusals.

Belongs here: reading one file. Does not belong here: what settings mean (`tests/days/test_bad_configurations.py`).
"""

from __future__ import annotations

import io
import os
import threading
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tomlkit
import yaml as pyyaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from resources.config_documents import document, exists, read_document
from trading.config.documents import Document, DocumentCeilings, dotted, place_of, shown
from trading.errors import ConfigError

LINES = '''# a comment
top = 1
text = """
[no.section]
not = "a key" \\""" still
"""
paths = \'\'\'
\\''x = 1\'\'\'
list = [ # one
  1,     # at 10
  [2, 3], "]", # at 11

  { a = 1, "b c" = { d = [
     4 ] } },
]

[section]
dotted.inner."q.r" = 5
dates = [1979-05-27 07:32:00, 07:32:00]

[[array]]
name = "first"
[array.below]
x = 1
[[array.more]]
y = 1
[[array.more]]
y = 2

[[array]]
name = 'second'
[array.below]
x = 2

[ section . later ]
z = true
'''
# Counted by hand in the text above.
AT: dict[tuple[str | int, ...], int] = {
    ("top",): 2, ("text",): 3, ("paths",): 7, ("list",): 9, ("list", 0): 10, ("list", 1): 11, ("list", 1, 1): 11,
    ("list", 2): 11, ("list", 3): 13, ("list", 3, "a"): 13, ("list", 3, "b c"): 13, ("list", 3, "b c", "d"): 13,
    ("list", 3, "b c", "d", 0): 14, ("section",): 17, ("section", "dotted"): 18, ("section", "dotted", "inner"): 18,
    ("section", "dotted", "inner", "q.r"): 18, ("section", "dates", 1): 19, ("array",): 21, ("array", 0): 21,
    ("array", 0, "name"): 22, ("array", 0, "below"): 23, ("array", 0, "below", "x"): 24, ("array", 0, "more", 0): 25,
    ("array", 0, "more", 0, "y"): 26, ("array", 0, "more", 1, "y"): 28, ("array", 1): 30, ("array", 1, "name"): 31,
    ("array", 1, "below", "x"): 33, ("section", "later"): 35, ("section", "later", "z"): 36,
}  # fmt: skip
YAML_LINES = """# a comment
top: 1
text: |
  not: a key
folded: "two
  lines"
list:
  - 1
  - [2, 3]
  - a: 1
    b c: {d: [
      4 ]}
section:
  inner:
    q.r: 5
"""
YAML_AT: dict[tuple[str | int, ...], int] = {
    ("top",): 2, ("text",): 3, ("folded",): 5, ("list",): 7, ("list", 0): 8, ("list", 1): 9, ("list", 1, 1): 9,
    ("list", 2): 10, ("list", 2, "a"): 10, ("list", 2, "b c"): 11, ("list", 2, "b c", "d", 0): 12, ("section",): 13,
    ("section", "inner"): 14, ("section", "inner", "q.r"): 15,
}  # fmt: skip


def toml(text: str | bytes, ceilings: DocumentCeilings | None = None) -> Document:
    """A TOML text as read."""
    data = text if isinstance(text, bytes) else text.encode()
    return document("x.toml", data, ceilings or DocumentCeilings())


def yaml(text: str | bytes) -> Document:
    """A YAML text as read."""
    return document("x.yaml", text if isinstance(text, bytes) else text.encode(), yaml=True)


def paths(values: Any, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """Every path of plain values."""
    inside = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    own = {path} if path else set()
    return own.union(*(paths(value, (*path, key)) for key, value in inside))


# --- lines ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("path", "line"), AT.items(), ids=map(str, AT))
def test_the_line_of_a_toml_setting(path: tuple[str | int, ...], line: int) -> None:
    assert toml(LINES).line_of(path) == line


@pytest.mark.parametrize(("path", "line"), YAML_AT.items(), ids=map(str, YAML_AT))
def test_the_line_of_a_yaml_setting(path: tuple[str | int, ...], line: int) -> None:
    assert yaml(YAML_LINES).line_of(path) == line


@pytest.mark.parametrize("read", [lambda: toml(LINES), lambda: yaml(YAML_LINES)], ids=["toml", "yaml"])
def test_every_setting_has_a_line_and_nothing_else(read: Any) -> None:
    found = read()
    assert set(found.lines) == paths(found.values)


def test_values_are_what_tomllib_reads() -> None:
    assert toml(LINES).values == tomllib.loads(LINES)
    assert toml(LINES.replace("\n", "\r\n")).values == tomllib.loads(LINES)
    assert toml(LINES.replace("\n", "\r\n")).lines == toml(LINES).lines


def test_the_line_of_what_is_missing_is_that_of_its_section() -> None:
    found = toml(LINES)
    assert found.line_of(("section", "later", "absent")) == 35
    assert found.line_of(("absent",)) is None
    assert not found.has(("section", "absent"))


def test_a_setting_stands_in_the_last_file_that_gives_it() -> None:
    base = document("base.toml", b"[a]\nx = 1\ny = 2\n")
    desk = document("desk.toml", b"\n\n[a]\ny = 3\n[b]\n")
    place = place_of([base, desk])
    assert place(("a", "x")) == "base.toml:2"
    assert place(("a", "y")) == "desk.toml:4"
    assert place(("a", "z")) == "desk.toml:3"
    assert place(("b", "z")) == "desk.toml:5"
    assert place(("c",)) is None


# --- every TOML that can be written -----------------------------------------------------------------------------------
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=6)
PLAIN = (
    st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=12)
    | st.dates() | st.times().map(lambda at: at.replace(fold=0)) | st.text("\"'\\\n\t #[]{}=,", max_size=8)
)  # fmt: skip
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=5)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_a_toml_that_a_library_writes_has_a_line_for_every_setting(values: dict[str, Any]) -> None:
    text = tomlkit.dumps(values)
    try:
        wanted = tomllib.loads(text)
    except ValueError:
        assume(False)
    found = toml(text, DocumentCeilings(max_depth=100))
    assert found.values == wanted
    assert set(found.lines) == paths(wanted)
    assert all(1 <= line <= text.count("\n") + 1 for line in found.lines.values())


TOKENS = st.sampled_from(
    ["a", "b", '"c"', "'d.e'", ".", "=", "[", "]", "[[", "]]", "{", "}", ",", "\n", " ", "#", '"""', "'''", '"', "'",
     "\\", "1", "1.5", "true", "1979-05-27", "é", "\r\n", "\t"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(TOKENS, max_size=25).map("".join))
def test_whatever_tomllib_reads_has_lines_and_whatever_it_refuses_is_refused(text: str) -> None:
    try:
        wanted = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(ConfigError, match=r"^x\.toml:\d+: "):
            toml(text)
        return
    found = toml(text)
    assert found.values == wanted
    assert set(found.lines) == paths(wanted)


WORDS = st.text("abcé -.#:'\"[]{}", max_size=6)
LIKE_JSON = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(allow_nan=False) | WORDS | st.none() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(WORDS, LIKE_JSON, max_size=4), st.booleans())
def test_a_yaml_that_a_library_writes_is_read_with_a_line_for_every_setting(values: dict[str, Any], flow: bool) -> None:
    class Plain(pyyaml.SafeDumper):
        """Writes no aliases."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    text = pyyaml.dump(values, Dumper=Plain, allow_unicode=True, default_flow_style=flow)
    found = document("x.yaml", text.encode(), DocumentCeilings(max_depth=100), yaml=True)
    assert found.values == values
    assert set(found.lines) == paths(values)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused_by_name(data: bytes, is_yaml: bool) -> None:
    read = partial(document, "x", data, yaml=is_yaml)
    with suppress(ConfigError):
        assert set(read().lines) == paths(read().values)


# --- YAML -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("12", 12), ("-3", -3), ("1_000", 1000), ("0x1F", 31), ("0o17", 15), ("1.5", 1.5), ("1e-3", 0.001), (".5", 0.5),
        ("true", True), ("False", False), ("~", None), ("null", None), ("", None), ("yes", "yes"), ("NO", "NO"),
        ("off", "off"), ("1:30", "1:30"), ("'12'", "12"), ('"true"', "true"), ("2000-01-31", date(2000, 1, 31)),
        ("17:30:00", time(17, 30)), ("2000-01-31T17:30:00Z", datetime(2000, 1, 31, 17, 30, tzinfo=UTC)),
        ("US10", "US10"), ("10Y", "10Y"), ("-", [None]), ("+1", 1), ("1.2.3", "1.2.3"), ("1e999", float("inf")),
    ],
)  # fmt: skip
def test_a_plain_word_of_yaml_means_what_it_says(word: str, value: object) -> None:
    found = yaml(f"a: {word}\n" if word != "-" else "a:\n -\n").values["a"]
    assert found == value
    assert type(found) is type(value)


def test_both_forms_say_the_same() -> None:
    by_toml = toml('[a]\nb = 1\nc = [1.5, "x"]\nd = 2000-01-31\n[a.e]\nf = true\n').values
    assert yaml("a:\n  b: 1\n  c: [1.5, x]\n  d: 2000-01-31\n  e: {f: true}\n").values == by_toml


def test_files_of_nothing_say_nothing() -> None:
    assert toml("").values == yaml("").values == yaml("# only this\n").values == yaml("---\n...\n").values == {}
    assert toml("\ufeffa = 1").values == yaml("\ufeffa: 1").values == {"a": 1}


LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
REFUSED_YAML = [
    ("billion laughs", LAUGHS, 1, "the anchor &a0"),
    ("alias", "a: 1\nb: *a", 2, "the alias *a"),
    ("object", "a: 1\nb: !!python/object/apply:os.system [id]", 2, "python/object/apply:os.system'. Remove it"),
    ("own tag", "a: !money 5", 1, "the tag '!money'"),
    ("tag of a table", "a: !!omap\n  - b: 1", 1, "the tag"),
    ("tag directive", "%TAG ! tag:example.com,2000:\n---\na: 1", 1, "%TAG"),
    ("merge", "a:\n  <<: {b: 1}", 2, "a merge (<<)"),
    ("given twice", "a: 1\nb: 2\na: 3", 3, "a is given twice, first in line 1"),
    ("given twice inside", "s:\n  a: 1\n  'a': 2", 3, "s.a is given twice, first in line 2"),
    ("two documents", "a: 1\n---\nb: 2", 2, "a second document begins"),
    ("list as key", "a: 1\n? [b]\n: 2", 2, "a list or a table as a key"),
    ("a list", "- a\n- b", 1, "the file holds ['a', 'b'], but must hold settings"),
    ("a word", "\nhello", 2, "the file holds 'hello'"),
    ("leading zero", "a:\n  b: 010", 2, "a.b is '010', which may be read by eights or by tens"),
    ("no such day", "a: 2001-02-29", 1, "a is '2001-02-29', which does not exist"),
    ("tabulator", "a:\n\tb: 1", 2, "not valid YAML"),
    ("control character", "a: 1\nb: \x07", 2, "a character YAML does not allow"),
    ("unfinished", "a: [1,\n", 2, "not valid YAML"),
    ("wide number", "a: 99999999999999999999", 1, "more than 64 bits hold"),
    ("deep", "a: " + "[" * 100_000, 1, "more than 16 deep"),
    ("deep by lines", "".join(" " * n + "a:\n" for n in range(200)), 17, "more than 16 deep"),
]


@pytest.mark.parametrize(
    ("text", "line", "said"), [row[1:] for row in REFUSED_YAML], ids=[row[0] for row in REFUSED_YAML]
)
def test_yaml_that_refers_or_runs_or_is_unclear_is_refused(text: str, line: int, said: str) -> None:
    with pytest.raises(ConfigError) as found:
        yaml(text)
    assert str(found.value).startswith(f"x.yaml:{line}: ")
    assert said in str(found.value)


# --- TOML -------------------------------------------------------------------------------------------------------------
REFUSED_TOML: list[tuple[str, str | bytes, int, str]] = [
    ("no value", "a = 1\nb =", 2, "not valid TOML: Invalid value"),
    ("no key", "a = 1\n\n = 2", 3, "not valid TOML"),
    ("unfinished text", 'a = 1\nb = "x\n', 2, "not valid TOML"),
    ("unfinished list", "a = [1,\n2", 2, "not valid TOML"),
    ("key twice", "[s]\na = 1\n\na = 2", 4, "s.a is given twice, first in line 2"),
    ("key twice by quotes", 'a = 1\n"\\u0061" = 2', 2, "a is given twice, first in line 1"),
    ("section twice", "[s]\na = 1\n[t]\n[s]", 4, "s is given twice, first in line 1"),
    ("section over a setting", "[s]\na = 1\n[s.a]", 3, "s.a is given twice, first in line 2"),
    ("deep list", "a = " + "[" * 100_000, 1, "more than 16 deep"),
    ("deep tables", "a = " + "{b = " * 100_000, 1, "more than 16 deep"),
    ("deep key", "x = 1\n" + "a." * 100_000 + "a = 1", 2, "more than 16 deep"),
    ("deep section", "[" + "a." * 100_000 + "a]", 1, "more than 16 deep"),
    ("wide number", "\na = 99999999999999999999", 2, "a is 99999999999999999999, more than 64 bits hold"),
    ("hexadecimal bomb", "a = 0x" + "f" * 1_000_000, 1, "a has 1,000,002 characters, more than 400"),
    ("endless number", "a = " + "9" * 1_000_000, 1, "a has 1,000,000 characters, more than 400"),
    ("long text", "a = '" + "x" * 100_001 + "'", 1, "a has 100,001 characters, more than 100,000"),
    ("long key", "a" * 201 + " = 1", 1, "has 201 characters, more than 200"),
    ("latin-1", "a = 1\nb = 'é'\n".encode("latin-1"), 2, "byte 0xe9 at 11 is not UTF-8. Save the file as UTF-8"),
    ("utf-16", "a = 1\n".encode("utf-16"), 1, "byte 0xff at 0 is not UTF-8"),
    ("control character", "a = 1\nb = 'x\x07'", 2, "not valid TOML"),
    ("NUL", "a = 1\n\x00", 2, "not valid TOML"),
    ("no such day", "a = 2001-02-29", 1, "not valid TOML: Invalid date"),
]


@pytest.mark.parametrize(
    ("text", "line", "said"), [row[1:] for row in REFUSED_TOML], ids=[row[0] for row in REFUSED_TOML]
)
def test_toml_that_is_wrong_or_endless_is_refused(text: str | bytes, line: int, said: str) -> None:
    with pytest.raises(ConfigError) as found:
        toml(text)
    assert str(found.value).startswith(f"x.toml:{line}: ")
    assert said in str(found.value)
    assert len(str(found.value)) < 400


def test_more_settings_than_the_ceiling_are_refused() -> None:
    few = DocumentCeilings(max_nodes=10)
    assert len(toml("".join(f"a{n} = 1\n" for n in range(10)), few).values) == 10
    with pytest.raises(ConfigError, match=r"^x\.toml:11: more than 10 settings and entries"):
        toml("".join(f"a{n} = 1\n" for n in range(11)), few)
    with pytest.raises(ConfigError, match="more than 10 settings and entries"):
        toml(f"a = [{'1,' * 10}]", few)


# --- files ------------------------------------------------------------------------------------------------------------
def refused(file: Path, **given: Any) -> str:
    """What reading a file says."""
    with pytest.raises(ConfigError) as found:
        read_document(file, **given)
    assert str(found.value).startswith(str(file))
    return str(found.value)


def test_a_file_is_read_with_its_name(tmp_path: Path) -> None:
    for name, text in (("a.toml", "x = 1"), ("a.yaml", "x: 1"), ("a.yml", "x: 1")):
        (tmp_path / name).write_text(text)
        found = read_document(tmp_path / name)
        assert (found.file, found.values) == (str(tmp_path / name), {"x": 1})


def test_what_is_no_file_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "device.toml").symlink_to("/dev/zero")
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")
    (tmp_path / "gone.toml").symlink_to(tmp_path / "nowhere.toml")
    assert "is a folder, not a file" in refused(tmp_path / "folder.toml")
    assert "is a pipe, not a file" in refused(tmp_path / "pipe.toml")
    assert "is a device, not a file" in refused(tmp_path / "device.toml")
    assert "symbolic links" in refused(tmp_path / "loop.toml")
    assert "No such file" in refused(tmp_path / "gone.toml")
    assert "No such file" in refused(tmp_path / "absent.toml")
    assert "name too long" in refused(tmp_path / ("x" * 300 + ".toml"))


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="embedded null byte"):
        read_document("a\x00b.toml")
    with pytest.raises(ConfigError, match=r"\.toml, \.yaml and \.yml only"):
        read_document("settings.ini")


def test_a_file_too_large_is_refused_by_its_size(tmp_path: Path) -> None:
    file = tmp_path / "large.toml"
    with file.open("wb") as sparse:
        sparse.truncate(2**30)
    assert "has 1,073,741,824 bytes, more than the 4,000,000 that a configuration file may have" in refused(file)
    small = DocumentCeilings(max_bytes=3)
    file.write_text("x=1")
    assert read_document(file, small).values == {"x": 1}
    file.write_text("x=10")
    assert "has 4 bytes, more than the 3" in refused(file, ceilings=small)


def test_a_file_that_says_it_is_empty_is_bounded_too() -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("no /proc on this system")
    link = Path("/proc/self/cmdline")  # its size is said to be 0
    from resources.config_documents import read_bounded

    with pytest.raises(ConfigError, match="more than the 2"):
        read_bounded(link, 2)


def test_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "home", tmp_path / "elsewhere.toml"
    inside.mkdir()
    outside.write_text("x = 1")
    (inside / "desk.toml").symlink_to(outside)
    (inside / "own.toml").write_text("x = 2")
    (inside / "link.toml").symlink_to(inside / "own.toml")
    assert "lies outside" in refused(inside / "desk.toml", root=inside)
    assert read_document(inside / "link.toml", root=inside).values == {"x": 2}
    assert read_document(inside / "desk.toml").values == {"x": 1}
    with pytest.raises(ConfigError, match="lies outside"):
        read_document(inside / ".." / "elsewhere.toml", root=inside)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may read everything: it is nobody for a while."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    yield
    os.seteuid(own)


def test_a_file_nobody_may_read_is_refused(tmp_path: Path, nobody: None) -> None:
    file = tmp_path / "secret.toml"
    if os.getuid() != 0:
        file.write_text("x = 1")
        file.chmod(0)
    assert exists(file), "it is not passed over either"
    assert "Permission denied. Correct its name, or make it readable." in refused(file)


def test_a_pipe_does_not_hold_anybody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    reader = threading.Thread(target=lambda: refused(tmp_path / "pipe.toml"), daemon=True)
    reader.start()
    reader.join(5)
    assert not reader.is_alive()


# --- words ------------------------------------------------------------------------------------------------------------
def test_paths_and_values_in_sentences_are_short_and_on_one_line() -> None:
    assert dotted(("a", "b", 0, "c")) == "a.b[0].c"
    assert dotted(("a", "b.c", "d e")) == "a.'b.c'.'d e'"
    assert dotted(("a", "\x1b[31m\n")) == "a.'\\x1b[31m\\n'"
    assert len(dotted(("x" * 10_000,))) == 60
    assert shown("x" * 10_000) == "'" + "x" * 56 + "..."
    assert len(shown(["x" * 100])) == 60
    assert shown(10**5000) == "a number of 16610 bits"
    endless: list[Any] = []
    for _ in range(100_000):
        endless = [endless]
    assert shown(endless) == "a list"
    with io.StringIO() as out:
        print(shown("\x1b[2J"), file=out)
        assert "\x1b" not in out.getvalue()
