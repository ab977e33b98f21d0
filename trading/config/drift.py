"""Whether the files of a configuration, what is in force of them, and what the last close was signed with are one.

Belongs here: the values compared, the sentences, and how grave each is by environment. Does not belong here: reading
files, the journal or signatures (`checks/configuration.py`, `pipelines/configuration_status.py`), or the bounds of a
setting.

How grave, and why:

| found | development | paper | production |
|---|---|---|---|
| what is in force cannot be read | error | error | error |
| nothing was ever applied | nothing | error | error |
| the journal is ahead of what is in force, or behind it | nothing | error | error |
| journal and home cannot be brought together | error | error | error |
| the files are wrong | error: they are what is in force | warning | error |
| the files say something else | told: they are in force at once | warning | error |
| in force changed since the last signature | told | told | told: the next close uses it |
| signed with what was not in force then | warning | error | error |
| signed with what was never recorded | warning | error | error |
| what was signed cannot be read | error | error | error |

Nothing of it stops a close: a close uses what is in force, whatever the files say, and names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, NamedTuple

Gravity = Literal["told", "warning", "error"]
SHOWN = 3  # changes that a sentence names
APPLY = "daybook config apply --reason '...'"


class Named(NamedTuple):
    """A configuration by its hash; its number in the history and when it came into force (UTC), where that is known."""

    configuration: str
    number: int | None = None
    since: datetime | None = None

    def __str__(self) -> str:
        return f"{self.number} ({self.configuration[:12]})" if self.number else self.configuration[:12]


class SignedWith(NamedTuple):
    """What the newest signed session was closed with: the configuration's hash, the number that was recorded of it
    (None: it is in no history), and when it was signed (UTC)."""

    session: date
    configuration: str
    number: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a configuration stands.

    `files`: hash of what the files say, None where they are wrong, and then `wrong` says why. `in_force`: None where
    nothing ever was, or where it cannot be read, and then `damaged` says why. `changed`: what the files change in it,
    a phrase each. `signed`: None where nothing was, or where it cannot be read, and then `unsigned` says why.
    `recorded`: the newest entry of the history; `recorded_since`: when its first one was.
    """

    environment: str
    files: str | None
    in_force: Named | None
    wrong: str = ""
    damaged: str = ""
    changed: Sequence[str] = ()
    signed: SignedWith | None = None
    unsigned: str = ""
    recorded: Named | None = None
    recorded_since: datetime | None = None
    unhealed: str = ""  # why journal and home could not be brought together, with the cure
    not_taken_here: bool = False  # `damaged` is no damage: environment variables of this process do not take it


class Drift(NamedTuple):
    """One thing that is not as it should be: what, how grave in this environment, and a sentence with the cure."""

    kind: str
    gravity: Gravity
    message: str


def drift(standing: Standing) -> list[Drift]:
    """All that drifted, the gravest first."""
    found = [*_of_files(standing), *_of_the_signature(standing)]
    return sorted(found, key=lambda each: ("error", "warning", "told").index(each.gravity))


def drifted(found: Sequence[Drift]) -> bool:
    """Whether somebody has to do something."""
    return any(each.gravity != "told" for each in found)


# --- files, and what is in force --------------------------------------------------------------------------------------
def _of_files(standing: Standing) -> Iterator[Drift]:
    real, gravity = _is_real(standing), _by_environment(standing.environment)
    if standing.not_taken_here:
        yield from _not_taken_here(standing)
        return
    if standing.unhealed:
        yield Drift("ledger", "error", standing.unhealed)
    elif standing.damaged:
        cure = "See `daybook config history`, and put one in force again: daybook config rollback NUMBER --reason '...'"
        yield Drift("damaged", "error", f"the configuration in force cannot be read: {standing.damaged} {cure}")
    elif standing.in_force is None and real:
        said = f"nothing was ever applied in {standing.environment}, so no configuration is in force. Run {APPLY}"
        yield Drift("nothing applied", "error", said)
    elif real and _is_behind(standing):
        said = f"the journal's newest configuration is {standing.recorded}, and {standing.in_force} is in force"
        yield Drift("behind", "error", f"{said}: {_why_behind(standing)}")
    if standing.files is None:
        uses = f" Runs go on with {standing.in_force}." if real and standing.in_force else " No run can begin."
        cure = "Correct them until `daybook config validate` finds nothing."
        yield Drift("files wrong", gravity if real else "error", f"the files are wrong: {standing.wrong}{uses} {cure}")
    elif standing.in_force is not None and standing.files != standing.in_force.configuration:
        yield Drift("files differ", gravity, _differ(standing, real))


def _not_taken_here(standing: Standing) -> Iterator[Drift]:
    """Sentences have their own cure: a variable. What is in force needs none, and neither do files it refuses too."""
    yield Drift("not taken here", "error", f"the configuration in force is not taken here: {standing.damaged}")
    if standing.files is None:
        yield Drift("files wrong", "told", f"the files are not taken here either: {standing.wrong}")


def _is_behind(standing: Standing) -> bool:
    recorded, now = standing.recorded, standing.in_force
    return recorded is not None and now is not None and recorded.number != now.number


def _why_behind(standing: Standing) -> str:
    recorded, now = standing.recorded, standing.in_force
    if recorded and now and (recorded.number or 0) < (now.number or 0):
        return "the ledger is older than the home. Restore both from one backup."
    return "who applied it was stopped before the end. `daybook config status` puts it right."


def _differ(standing: Standing, real: bool) -> str:
    named = "; ".join(standing.changed[:SHOWN])
    more = len(standing.changed) - SHOWN
    what = f" ({named}{f'; and {more} more' if more > 0 else ''})" if named else ""
    said = f"the files say something else than configuration {standing.in_force}, which is in force{what}."
    if not real:
        return f"{said} In development the next run that writes records them."
    return f"{said} See `daybook config diff`; put them in force with {APPLY}, or put the files back."


# --- what was signed --------------------------------------------------------------------------------------------------
def _of_the_signature(standing: Standing) -> Iterator[Drift]:
    signed, now = standing.signed, standing.in_force
    if standing.unsigned:
        cure = "See `daybook audit verify`."
        yield Drift("signed document", "error", f"what was signed last cannot be read: {standing.unsigned} {cure}")
    if signed is None or now is None or signed.configuration == now.configuration:
        return
    gravity: Gravity = "error" if _is_real(standing) else "warning"
    if signed.number is None and not _is_older(signed, standing.recorded_since):
        yield Drift("signed with unknown", gravity, _unknown(signed))
    elif signed.number is None or now.since is None or now.since > signed.at:
        yield Drift("changed since", "told", _since(signed, now))
    else:
        yield Drift("signed with another", gravity, _another(signed, now))


def _unknown(signed: SignedWith) -> str:
    return (
        f"{signed.session} was signed with configuration {signed.configuration[:12]}, which is in no history: somebody "
        f"closed with settings that were never recorded. See `daybook open {signed.session}` and `daybook config "
        f"history`; close it again with what is in force: daybook close --restate --session {signed.session}"
    )


def _since(signed: SignedWith, now: Named) -> str:
    before = f"configuration {Named(signed.configuration, signed.number)}"
    return f"{signed.session} was signed with {before}; in force since then is {now}, which the next close uses."


def _another(signed: SignedWith, now: Named) -> str:
    return (
        f"{signed.session} was signed with configuration {Named(signed.configuration, signed.number)}, while {now} was "
        f"in force already: a run had begun before, or read something else. If its numbers must be those of {now}: "
        f"daybook close --restate --session {signed.session}"
    )


def _is_older(signed: SignedWith, recorded_since: datetime | None) -> bool:
    """Whether it was signed before configurations were recorded at all."""
    return recorded_since is None or signed.at < recorded_since


def _is_real(standing: Standing) -> bool:
    return standing.environment in ("paper", "production")


def _by_environment(environment: str) -> Gravity:
    return {"paper": "warning", "production": "error"}.get(environment, "told")  # type: ignore[return-value]
