"""The XML of Flex statements: which statements a file holds, and the rows of their sections with the lines they are on.

Belongs here: elements, attributes, dates and times as the broker writes them. Does not belong here: what they mean
(`flex_statement.py`).

Files come from outside, so entities and document types are refused. Dates are yyyyMMdd or yyyy-MM-dd; times follow
after a semicolon, comma or space as HHmmss or HH:mm:ss, and are of New York unless they say EST, EDT, UTC or GMT.
"""

from __future__ import annotations

import html
import re
import xml.sax
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import defusedxml.sax  # type: ignore[import-untyped]
from defusedxml import DefusedXmlException

from resources.brokers.listing import Wrong
from trading.errors import BadInput, ConfigError

EASTERN = "America/New_York"
_OFFSETS = {"EST": timedelta(hours=-5), "EDT": timedelta(hours=-4), "UTC": timedelta(0), "GMT": timedelta(0)}
_STAMP = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:[;, T]+(\d{2}):?(\d{2}):?(\d{2})(?:\s+([A-Z]{3}))?)?")
_HEAD = re.compile(rb"<FlexStatement\s[^>]*>")
_ATTRIBUTE = re.compile(rb"([A-Za-z]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_DATE_CURE = "Choose yyyyMMdd or yyyy-MM-dd as the date format of the Flex query."


@dataclass(frozen=True, slots=True)
class Head:
    """Which statement: its place in the file, account, first and last day, and when it was generated."""

    path: Path
    line: int
    place: int
    account: str
    first: date
    session: date
    generated: str = ""

    def at(self, zone: str) -> datetime | None:
        """When it was generated, UTC; None where it does not say. Raises BadInput."""
        wrong = _wrong(self.path, self.line, "FlexStatement", "whenGenerated", self.generated)
        return instant(self.generated, zone, wrong) if self.generated else None


@dataclass(frozen=True, slots=True)
class FlexRow:
    """An element of a section: its name, attributes and line."""

    path: Path
    line: int
    name: str
    attributes: Mapping[str, str]

    def get(self, attribute: str) -> str:
        """An attribute, empty where there is none."""
        return self.attributes.get(attribute, "").strip()

    def need(self, attribute: str) -> str:
        """An attribute that must be there. Raises BadInput."""
        found = self.get(attribute)
        if not found:
            cure = "Choose the field in the sections of the Flex query."
            raise self.wrong(attribute)("the attribute is missing or empty", cure)
        return found

    def day(self, attribute: str) -> date | None:
        """An attribute as a date, None where it is empty. Raises BadInput."""
        text = self.get(attribute)
        return _stamp(text, self.wrong(attribute))[0] if text else None

    def wrong(self, attribute: str) -> Wrong:
        """Makes the error of an attribute."""
        return _wrong(self.path, self.line, self.name, attribute, self.attributes.get(attribute))


@dataclass(slots=True)
class Section:
    """A section of a statement, perhaps empty."""

    rows: list[FlexRow] = field(default_factory=list)


def known_zone(name: str) -> str:
    """The name of a time zone. Raises ConfigError where there is none of that name."""
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError) as cause:
        raise ConfigError(f"trading.broker.timezone {name!r} is no time zone. Write one like {EASTERN}.") from cause


def instant(text: str, zone: str, wrong: Wrong) -> datetime:
    """A time of a statement, UTC. Without a time of day, midnight where the broker is."""
    day, clock, named = _stamp(text, wrong)
    here: tzinfo = timezone(_OFFSETS[named]) if named else ZoneInfo(zone)
    return datetime(day.year, day.month, day.day, *clock, tzinfo=here).astimezone(UTC)


def _stamp(text: str, wrong: Wrong) -> tuple[date, tuple[int, int, int], str]:
    found = _STAMP.fullmatch(text)
    try:
        if found is None or (found[7] and found[7] not in _OFFSETS):
            raise ValueError
        clock = (int(found[4] or 0), int(found[5] or 0), int(found[6] or 0))
        datetime(1, 1, 1, *clock)  # noqa: DTZ001
        return date(int(found[1]), int(found[2]), int(found[3])), clock, found[7] or ""
    except ValueError:
        raise wrong("not a date or time", _DATE_CURE) from None


def _wrong(path: Path, line: int, name: str, attribute: str, value: object) -> Wrong:
    def made(found: str, cure: str) -> BadInput:
        return BadInput(found, where=str(path), row=line, column=f"{name}.{attribute}", value=value, cure=cure)

    return made


# --- which statements -------------------------------------------------------------------------------------------------
def heads(path: Path) -> tuple[Head, ...]:
    """The statements a file holds, in order. Only their opening tags are read, so that a folder of years is looked
    through in no time. Raises BadInput where there is none, or one does not say of which days it is; OSError."""
    content = path.read_bytes()
    found = tuple(_head(path, content, tag, place) for place, tag in enumerate(_HEAD.finditer(content)))
    if not found:
        _Collector(path, -1).parse(content)  # says what is wrong with the XML, if that is what it is
        told = _refusal(content)
        cure = "Deliver the XML of an Activity Flex Query, in UTF-8, or remove the file."
        raise BadInput(f"the file has no FlexStatement{told}", where=str(path), cure=cure)
    return found


def _head(path: Path, content: bytes, tag: re.Match[bytes], place: int) -> Head:
    line = content.count(b"\n", 0, tag.start()) + 1
    values = {
        name.decode(): html.unescape((double or single).decode("utf-8", "replace"))
        for name, double, single in _ATTRIBUTE.findall(tag.group())
    }
    row = FlexRow(path, line, "FlexStatement", values)
    first, session = (_stamp(row.need(name), row.wrong(name))[0] for name in ("fromDate", "toDate"))
    return Head(path, line, place, row.get("accountId"), first, session, row.get("whenGenerated"))


def _refusal(content: bytes) -> str:
    """What a refused request was answered with, if that was saved in place of a statement."""
    said = re.search(rb"<ErrorMessage>([^<]*)<", content)
    return f"; the broker says: {said[1].decode('utf-8', 'replace').strip()}" if said else ""


# --- one statement's rows ---------------------------------------------------------------------------------------------
def sections(path: Path, head: Head) -> Mapping[str, Section]:
    """The sections of one statement by name, each with its rows. The whole file is read, so that one that is cut off
    gives nothing. Raises BadInput, OSError."""
    collector = _Collector(path, head.place)
    collector.parse(path.read_bytes())
    return collector.found


class _Collector(xml.sax.ContentHandler):
    """Collects the rows of the statement at a place in the file."""

    def __init__(self, path: Path, place: int) -> None:
        super().__init__()
        self.found: dict[str, Section] = {}
        self._path, self._place, self._now = path, place, -1
        self._above: list[str] = []
        self._where: Any = None

    def setDocumentLocator(self, locator: Any) -> None:
        """Who knows the line."""
        self._where = locator

    def parse(self, content: bytes) -> None:
        """Reads a whole document."""
        try:
            defusedxml.sax.parseString(content, self, forbid_dtd=True)
        except xml.sax.SAXParseException as cause:
            found = f"the XML is cut off or broken ({cause.getMessage()})"
            cure = "Deliver the whole file again, in the encoding its first line names."
            raise BadInput(found, where=str(self._path), row=cause.getLineNumber(), cure=cure) from cause
        except DefusedXmlException as cause:
            found = "the XML declares a document type or entities, which a statement never does"
            raise BadInput(found, where=str(self._path), cure="Do not trust the file; ask for it again.") from cause

    def startElement(self, name: str, attrs: Any) -> None:
        """An element opens."""
        if name == "FlexStatement":
            self._now += 1
        elif self._now == self._place and self._above[-1:] == ["FlexStatement"]:
            self.found.setdefault(name, Section())
        elif self._now == self._place and self._above[-2:-1] == ["FlexStatement"]:
            line = int(self._where.getLineNumber() or 0)
            self.found[self._above[-1]].rows.append(FlexRow(self._path, line, name, dict(attrs.items())))
        self._above.append(name)

    def endElement(self, name: str) -> None:
        """An element closes."""
        self._above.pop()
