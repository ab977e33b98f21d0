"""A wire to a server of this machine that can be made slow: each answer is held back for some seconds.

Belongs here: the wire. Does not belong here: servers, or what is measured while it is slow.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

HOST, CHUNK = "127.0.0.1", 1 << 16


class SlowWire:
    """Passes on what comes to `port` to the server at `target`, from a thread of its own, until `close`. `delay_s` is
    how long its answers are held back: it may be set at any time."""

    def __init__(self, target: int) -> None:
        self.delay_s, self.port = 0.0, 0
        self._target, self._loop, self._open = target, asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._open.wait()

    def close(self) -> None:
        """Cuts it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, HOST, 0))
        self.port = server.sockets[0].getsockname()[1]
        self._open.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, questions = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.close()
            return
        there = asyncio.create_task(self._passed_on(reader, questions, slow=False))
        back = asyncio.create_task(self._passed_on(answers, writer, slow=True))
        await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        for one in (writer, questions):
            one.close()

    async def _passed_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, slow: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if slow and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()
