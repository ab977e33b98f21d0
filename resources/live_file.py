"""The signed live configuration as a file.

Belongs here: reading it bounded, and writing all of it or nothing. Does not belong here: what it says
(`trading/config/live.py`), or whether it holds (`pipelines/live.py`).
"""

from __future__ import annotations

import os
from pathlib import Path

from resources.disk_errors import refusal
from resources.durable import synced
from trading.config.live import LARGEST_BYTES, Signed
from trading.errors import LiveUnreadable, LiveUnsigned


class LiveFile:
    """A file that holds what was signed, or is not there."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def read(self) -> Signed:
        """What was signed. Raises LiveUnsigned where there is no file, LiveUnreadable where it is not whole."""
        try:
            with self.path.open("rb") as opened:
                return Signed.from_bytes(opened.read(LARGEST_BYTES + 1))
        except FileNotFoundError as cause:
            raise LiveUnsigned(
                f"no live configuration is signed: there is no {self.path}. Look at what is in force (daybook config "
                "status), then sign it: daybook live sign."
            ) from cause
        except OSError as cause:
            raise LiveUnreadable(f"{self.path} cannot be read: {cause.strerror or cause}. Make it readable.") from cause

    def write(self, signed: Signed) -> None:
        """Puts it in place, for good. Raises StoreUnavailable where the disk is full or may not be written."""
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(signed.to_bytes())
            synced(draft)
            draft.replace(self.path)
            synced(self.path.parent)
        except OSError as cause:
            raise refusal(cause, self.path.parent) or cause from cause
