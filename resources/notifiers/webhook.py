"""Notices to a web address, as JSON. Does not belong here: any other way of telling people."""

from __future__ import annotations

import json
import logging
from http.client import HTTPException
from urllib.error import URLError
from urllib.request import Request, urlopen

from trading.errors import ConfigError
from trading.ports import Notice

TIMEOUT_S = 5.0


class WebhookNotifier:
    """Notifier that posts `{"level", "title", "text", "facts"}` to an http(s) address.

    `text` alone is what most chat systems show. Raises ConfigError at once on another kind of address; a notice that
    cannot be delivered is logged and answered with False.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(
                "the webhook address must start with http:// or https://. Correct what operations.notifier refers to."
            )
        self._url, self._timeout_s = url, timeout_s
        self._log = logging.getLogger("daybook.notices")

    def notify(self, notice: Notice) -> bool:
        """As the port."""
        try:
            with urlopen(self._request(notice), timeout=self._timeout_s) as answer:
                return bool(200 <= answer.status < 300)
        except (URLError, HTTPException, OSError, ValueError) as cause:
            self._log.warning("the webhook did not take the notice %r: %s", notice.title, cause)
            return False

    def _request(self, notice: Notice) -> Request:
        body = {"level": notice.level, "title": notice.title, "text": notice.text, "facts": dict(notice.facts)}
        content = json.dumps(body).encode()
        return Request(self._url, content, {"Content-Type": "application/json"}, method="POST")
