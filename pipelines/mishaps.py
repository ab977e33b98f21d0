"""What a person hears when something breaks that no adapter foresaw: a sentence, never a traceback.

Belongs here: turning any exception that reaches the command line into a Daybook error, and keeping its traceback in
the home. Does not belong here: errors an adapter translates itself, which pass through unchanged.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines.settings import Place
from trading import errors
from trading.errors import DaybookError

CHECK_STOPPED = "DagsterAssetCheckFailedError"  # what Dagster fails a step with whose blocking check failed


def explained(cause: BaseException, where: Place | None) -> DaybookError:
    """The Daybook error in a chain of exceptions; what the disk refused; else that Daybook itself is at fault."""
    from pipelines.deployments import disk_refusal

    chain = list(_chain(cause))
    ours = next((link for link in chain if isinstance(link, DaybookError)), None)
    if ours is not None:
        return ours
    home = where.home if where else Path.cwd()
    refused = next((found for link in chain if (found := disk_refusal(link, home))), None)
    return refused or _unforeseen(cause, home)


def root_cause(error: Any) -> tuple[str, str]:
    """Class name and message of the Daybook error in the chain that Dagster kept of a failed step, else of the
    innermost cause."""
    chain = [error]
    while chain[-1] is not None and chain[-1].cause is not None:
        chain.append(chain[-1].cause)
    ours = [link for link in chain if link is not None and hasattr(errors, link.cls_name or "")]
    chosen = ours[0] if ours else chain[-1]
    return ("", "unknown") if chosen is None else (chosen.cls_name or "", _message(chosen, bool(ours)))


def _message(error: Any, is_ours: bool) -> str:
    """Without the class name, where the class is ours and the message a sentence."""
    text = str(error.message).strip()
    return text.split(": ", 1)[-1] if is_ours else text


def _chain(cause: BaseException | None) -> Iterator[BaseException]:
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _unforeseen(cause: BaseException, home: Path) -> DaybookError:
    kept = home / "logs" / "last_failure.txt"
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text("".join(traceback.format_exception(cause)))
    said = str(cause).strip().splitlines()[0] if str(cause).strip() else "no message"
    return DaybookError(
        f"something failed that Daybook does not foresee ({type(cause).__name__}: {said}). Run the same command again; "
        f"if it fails again, report it with the file {kept}."
    )
