"""Notices into the log. Does not belong here: any other way of telling people."""

from __future__ import annotations

import logging

from trading.ports import Notice

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class LogNotifier:
    """Notifier that writes one line to the log `daybook.notices` (or another)."""

    def __init__(self, log: logging.Logger | None = None) -> None:
        self._log = log or logging.getLogger("daybook.notices")

    def notify(self, notice: Notice) -> bool:
        """As the port."""
        facts = " ".join(f"{name}={value}" for name, value in sorted(notice.facts.items()))
        self._log.log(_LEVELS[notice.level], "%s: %s%s", notice.title, notice.text, f" [{facts}]" if facts else "")
        return True
