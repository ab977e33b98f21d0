"""`daybook risk replay`: which kept decisions the limits of another file would have turned.

Belongs here: the settings that a file comes to, and the answer as plain values. Does not belong here: judging again
(`trading/risk/replay.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.authored import in_todays_schema, over
from pipelines.configuration import APPLIED, FILES, configuration_of
from pipelines.risk_decisions import Span, kept
from pipelines.settings import Place, classified, context, read_settings
from pipelines.wiring import reference
from trading.config.documents import Document, place_of
from trading.config.models import DeskSettings
from trading.config.refusals import refusals
from trading.errors import ConfigError, UsageError
from trading.risk.kept import Kept, Wanted
from trading.risk.limit_table import faults
from trading.risk.replay import Levels, Turned, levels_of, turned

NOTE = (
    "Each is judged by itself, by the values of then: the book is as it was, though a turned order would have left "
    "another one. What is not certain turns unless the order made those values no larger, which was not looked at."
)


def replayed(where: Place, span: Span, file: Path) -> dict[str, Any]:
    """Decisions of a span of sessions that the limits of a file turn, the newest first. Raises ConfigError where the
    file is wrong, UsageError where it is not there."""
    settings, known = limited_by(where, file), reference(where)
    decisions = list(kept(where, span, Wanted()))

    @cache
    def levels(session: date) -> Levels:
        return levels_of(settings, session, _of(decisions, session), known.instruments(session))

    found = list(turned(decisions, levels))
    judged = sum(1 for each in decisions if each.rules)
    return {
        "limits": str(file), "configuration": settings.content_hash(), "decisions": len(decisions), "judged": judged,
        "turned": len(found), "note": NOTE, "rows": [_row(each) for each in found],
    }  # fmt: skip


def limited_by(where: Place, file: Path) -> DeskSettings:
    """What is in force, with a file laid over it; the file's limits in place of all others."""
    document = in_todays_schema(file, where)
    if document is None:
        raise UsageError(f"there is no file {file}. Give a file of settings, like a changed copy of desk.toml.")
    files = read_settings(where).environment == "development"
    now = configuration_of(where, FILES if files else APPLIED)
    values = over(now.values, document.values)
    limits = document.values.get("risk", {}).get("limits", [])
    values = over(values, {"risk": {"limits": limits}})
    settings = _validated(values, document, where)
    wrong = faults(settings, place_of([document]))
    if wrong:
        raise ConfigError("\n".join(wrong), wrong)
    return classified(settings, now.table, where)


def _validated(values: dict[str, Any], document: Document, where: Place) -> DeskSettings:
    try:
        return DeskSettings.model_validate(values, context=context(where))
    except ValidationError as cause:
        found = refusals(cause, DeskSettings, place_of([document]))
        raise ConfigError("\n".join(found), found) from cause


def _of(decisions: Sequence[Kept], session: date) -> list[Kept]:
    return [each for each in decisions if each.about.session == session]


def _row(found: Turned) -> dict[str, Any]:
    one = found.kept
    asked = {name: value for name, value in one.document().items() if name in one.asked._fields}
    return {
        "at": one.about.at.isoformat(), "session": str(one.about.session), "by": one.about.by,
        "action": one.about.action, **asked, "was": one.outcome, "becomes": found.becomes,
        "certain": found.certain, "because": list(found.because),
    }  # fmt: skip
