"""Cluster of many machines: the workers of a Dask scheduler that somebody else started.

Belongs here: sending items to Dask, and taking back what is not wanted any more. Does not belong here: what runs on
the workers (`dask_worker.py`), or starting any (their machines need this project installed).

What workers share travels once, as a worker plugin, to those there are and those that join; its removal stops what is
still being computed and forgets what was prepared. Gap: workers may serve others too, so they are not killed: an item
that is being computed when the work is stopped is computed to its end, and nobody hears of it. What happens to a worker
that dies (a new one, its items again) is up to Dask; items that kill their workers twice raise WorkerLost.
"""

from __future__ import annotations

import pickle
import queue
import uuid
from collections.abc import Iterator
from typing import Any, TypeAlias

from resources.clusters.limits import Watch, whole_chunk
from trading.errors import StoreUnavailable, UsageError, WorkStopped
from trading.ports import NO_LIMITS, Items, Limits, Progress, Task

Numbered = tuple[int, Any]
Client: TypeAlias = Any  # of distributed, which is imported when a cluster is made
Future: TypeAlias = Any
CONNECT_S = 10


def _quiet(done: int, total: int, what: str) -> None:
    """Says nothing."""


class DaskCluster:
    """Cluster at a Dask scheduler's address, like `tcp://host:8786`. Needs the extra `dask`."""

    def __init__(self, address: str, connect_s: float = CONNECT_S) -> None:
        self._address, self._connect_s = address, connect_s
        with self._client() as client:
            self.workers = sum(client.nthreads().values())

    def _client(self) -> Client:
        try:
            from distributed import Client
        except ImportError as cause:
            raise UsageError("Dask is not installed. Install the extra: pip install 'daybook[dask]'.") from cause
        try:
            return Client(self._address, timeout=self._connect_s, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError, ValueError) as cause:
            raise StoreUnavailable(
                f"no Dask scheduler answers at {self._address} within {self._connect_s:g} s: {cause}. "
                "Start one (`dask scheduler`, `dask worker ADDRESS`), correct the address, or leave out --dask."
            ) from cause

    def map(
        self, task: Task, items: Items, limits: Limits = NO_LIMITS, progress: Progress = _quiet
    ) -> Iterator[Numbered]:
        """As the port."""
        items = items() if callable(items) else items
        if not items:
            return
        watch = Watch(limits, len(items))
        watch.look()
        try:
            pickle.dumps((task, items))
        except Exception as cause:
            raise UsageError(f"the task cannot be sent to workers: {cause}. Use functions of modules.") from cause
        with self._client() as client:
            work = _Work(client, task, list(enumerate(items)), watch)
            try:
                for number, result in work.results():
                    watch.done += 1
                    progress(watch.done, watch.total, "")
                    yield number, result
            finally:
                work.end()


class _Work:
    """Chunks on their way: a few for each worker, the next when one comes back."""

    def __init__(self, client: Client, task: Task, items: list[Numbered], watch: Watch) -> None:
        self._client, self._watch = client, watch
        self._name = f"daybook-{uuid.uuid4().hex}"
        self._back: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._out: dict[str, Future] = {}
        workers = max(1, sum(client.nthreads().values()))
        size = whole_chunk(len(items), workers)
        self._chunks = [items[first : first + size] for first in range(0, len(items), size)][::-1]
        self._at_once = 2 * workers
        from resources.clusters.dask_worker import Prepared, compute

        self._compute = compute
        client.register_plugin(Prepared(task), name=self._name)

    def results(self) -> Iterator[Numbered]:
        """Everything that comes back, until nothing is left. Raises as the port says."""
        while self._chunks or self._out:
            while self._chunks and len(self._out) < self._at_once:
                self._send(self._chunks.pop())
            self._watch.look(self._largest_bytes() if self._watch.measures_memory else 0.0)
            try:
                future = self._back.get(timeout=max(self._watch.pause_s(), 0.001))
            except queue.Empty:
                continue
            if self._out.pop(future.key, None) is not None:
                yield from self._result(future)

    def _send(self, chunk: list[Numbered]) -> None:
        future = self._client.submit(
            self._compute, self._name, chunk, key=f"{self._name}-{chunk[0][0]}", pure=False, retries=0
        )
        self._out[future.key] = future
        future.add_done_callback(self._back.put)

    def _result(self, future: Future) -> list[Numbered]:
        from distributed import KilledWorker

        try:
            found: list[Numbered] = future.result()
        except KilledWorker as cause:
            raise self._lost(cause) from cause
        finally:
            future.release()
        return found

    def _lost(self, cause: Exception) -> WorkStopped:
        return self._watch.lost(f"workers died on the same items: {str(cause).splitlines()[0]}")

    def _largest_bytes(self) -> float:
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return max((float(worker["metrics"]["memory"]) for worker in workers), default=0.0)

    def end(self) -> None:
        """Takes back what was not computed, and removes what workers were given."""
        if self._out:
            self._client.cancel(list(self._out.values()), asynchronous=False)
        self._client.unregister_worker_plugin(self._name)
