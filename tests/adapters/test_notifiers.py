"""The log and webhook notifiers. Does not belong here: who notifies of what."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from resources.notifiers.log import LogNotifier
from resources.notifiers.webhook import WebhookNotifier
from trading.errors import ConfigError
from trading.ports import Notice, Notifier

NOTICE = Notice("error", "The close failed", "prices of GOLD are missing", {"session": "2022-02-25"})


@pytest.fixture
def received() -> Iterator[tuple[str, list, list]]:
    """A web server's address, the documents it received, and the answers it is to give (200 when there are none)."""
    documents: list = []
    answers: list = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            documents.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(answers.pop() if answers else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", documents, answers
    server.shutdown()
    server.server_close()


def test_the_log_has_everything_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "daybook.notices"):
        assert LogNotifier().notify(NOTICE)
    assert caplog.record_tuples == [
        ("daybook.notices", logging.ERROR, "The close failed: prices of GOLD are missing [session=2022-02-25]")
    ]


def test_the_webhook_posts_a_document(received: tuple[str, list, list]) -> None:
    url, documents, _ = received
    notifier = WebhookNotifier(url)
    assert isinstance(notifier, Notifier)
    assert notifier.notify(NOTICE)
    assert documents == [
        (
            "application/json",
            {"level": "error", "title": "The close failed", "text": "prices of GOLD are missing",
             "facts": {"session": "2022-02-25"}},
        )
    ]  # fmt: skip


def test_a_webhook_that_refuses_or_is_gone_answers_false_and_never_raises(received: tuple[str, list, list]) -> None:
    url, _, answers = received
    answers.append(500)
    assert not WebhookNotifier(url).notify(NOTICE)
    assert not WebhookNotifier("http://127.0.0.1:9/closed", timeout_s=0.5).notify(NOTICE)


def test_other_kinds_of_address_are_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="http"):
        WebhookNotifier("file:///etc/hostname")
