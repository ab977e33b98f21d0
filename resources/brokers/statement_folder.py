"""The folder of a broker's statements as the machine sees it.

Belongs here: listing files, when they changed, and what to say when they cannot be read. Does not belong here: what is
in them.
"""

from __future__ import annotations

from pathlib import Path

from trading.errors import BrokerError


def files_in(folder: Path, suffix: str) -> list[Path]:
    """Files of a folder by their ending, in any case, sorted; hidden ones are somebody's drafts. Raises BrokerError."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() == suffix and not path.name.startswith(".")]
    except OSError as cause:
        raise unreadable(folder, cause) from cause
    return sorted(path for path in found if not path.is_dir())  # a broken link is a file that cannot be read


def stamp_of(path: Path) -> str:
    """What changes when a file does: its size and time. Raises OSError."""
    facts = path.stat()
    return f"{facts.st_size} {facts.st_mtime_ns}"


def unreadable(path: Path, cause: OSError) -> BrokerError:
    """The error of a file or folder of statements that the machine cannot read."""
    return BrokerError(
        f"broker statement_file did not answer: {path} cannot be read ({cause.strerror or cause}). "
        "Make it readable, or correct trading.broker.statements, and run again."
    )
