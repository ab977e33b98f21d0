"""One worker: a process that answers at a socket it was handed.

Belongs here: an application run by uvicorn until it is told to end, and warming what it judges with. Does not belong
here: starting workers (`crew.py`), or what an application is made of (`application.py`, `sources.py`).

    python -m pipelines.risk_server.worker HOME DEPLOYMENT SOCKET NAME

SOCKET is the number of a listening socket that this process inherits; NAME tells it from the other workers.
"""

from __future__ import annotations

import gc
import math
import os
import signal
import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI

from pipelines.risk_server.crew import CANNOT, GRACE_S
from trading.config.models import DeskSettings
from trading.risk.book import Book
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine
from trading.risk.market import Market

LOOK_S, SWITCH_S = 1.0, 0.001


def answer(app: FastAPI, listening: socket.socket) -> None:
    """Answers until SIGTERM or SIGINT: then no more requests are taken, those under way are answered, and it ends. It
    ends too when whoever started it is gone."""
    sys.setswitchinterval(SWITCH_S)  # reservations and what is done beside answering have threads of their own
    gc.collect()
    gc.freeze()  # what is there now stays, and need not be looked at again and again
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S, lifespan="on", loop="auto", http="auto", proxy_headers=False,
    )  # fmt: skip
    threading.Thread(target=_ends_with, args=(os.getppid(),), daemon=True).start()
    uvicorn.Server(config).run(sockets=[listening])


def warm(desk: DeskSettings, market: Market, book: Book) -> None:
    """Asks once what will be asked often, of an engine of its own, so that nobody waits for machine code."""
    if not (market.contracts and book.strategies):
        return
    engine = RiskEngine(desk, market, book)
    one = Asked(book.strategies[0], *market.contracts[0], 1.0, 1.0, "warm")
    engine.check(one).document()
    engine.check_list([one, one], "scale", True)
    engine.reserve_list([one], "prefix", False)
    engine.fill(one)
    engine.adopt([one._replace(order_id="adopted")])
    engine.release("adopted")
    engine.reserve(one)
    engine.expire(math.inf)
    engine.recompute()


def _ends_with(parent: int) -> None:
    while os.getppid() == parent:
        threading.Event().wait(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """A worker of a desk."""
    from pipelines.mishaps import explained
    from pipelines.risk_server.sources import desk_application
    from pipelines.settings import place

    home, deployment, number, name = sys.argv[1:5]
    where = place(home, deployment)
    try:
        app = desk_application(where, name)
    except Exception as error:  # said in a sentence, whatever it is
        print(f"daybook: {explained(error, where)}", file=sys.stderr)  # noqa: T201 -- a process of its own
        return CANNOT
    answer(app, socket.socket(fileno=int(number)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
