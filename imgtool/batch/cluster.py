"""Work on many machines over a Dask scheduler (extra `cluster`); results in the order of the items.

A task is a function, identified by name, and some items; Dask sends both to a worker by pickle. So whoever can connect
to a cluster's scheduler can run any code in its processes. That is inherent in Dask, and the reason why `local` listens
only on the loopback interface.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from imgtool.batch.pool import batched
from imgtool.errors import ClusterError, ImgtoolError, MissingExtraError

Item = TypeVar("Item")
Result = TypeVar("Result")

LOCAL = "local"
CHUNK_ITEMS = 16  # items a task
_WAIT_S = 30  # for a scheduler to answer, and for its first worker


def cluster_map(
    function: Callable[[list[Item]], list[Result]],
    items: Iterable[Item],
    address: str,
    *,
    workers: int,
    shared: tuple[str, Any] | None = None,
) -> Iterator[Result | None]:
    """Yield what a function of a list of items gives for each, in order, computed by the workers of a cluster.

    function: one that pickle can name. address: of a scheduler, or `local` for one with so many workers on this
    machine. Two tasks wait for each worker, so memory stays bounded. A task whose worker dies is done by another; an
    item that ends every worker that takes it gives None. shared: what every worker needs, with its hash, by which
    `imgtool.batch.shared` finds it there; it is sent once to each, also to those that come later. Raises ClusterError
    when there is no scheduler, or no longer.
    """
    with _connect(address, workers) as client:
        if shared:
            _share(client, address, *shared)
        waiting: deque[tuple[list[Item], Any]] = deque()
        most = 2 * max(sum(client.nthreads().values()), 1)
        for chunk in batched(items, CHUNK_ITEMS):
            waiting.append((chunk, client.submit(function, chunk, pure=False)))
            if len(waiting) >= most:
                yield from _results(client, function, *waiting.popleft(), address)
        while waiting:
            yield from _results(client, function, *waiting.popleft(), address)


def _share(client: Any, address: str, key: str, value: Any) -> None:
    """Give a value to all workers. A cluster that has it already is not sent it again."""
    distributed: Any = importlib.import_module("distributed")

    class Shared(distributed.WorkerPlugin):  # type: ignore[misc]
        """Sent by value, since it is defined in a function; what it imports is the worker's own."""

        name, idempotent = f"imgtool-{key}", True

        def setup(self, worker: Any) -> None:
            from imgtool.batch.shared import receive

            receive(key, value)

    try:
        client.register_plugin(Shared())
    except Exception as error:
        raise _worker_error(address, error) from None


def _results(
    client: Any, function: Callable[[list[Item]], list[Result]], chunk: list[Item], future: Any, address: str
) -> list[Result | None]:
    """Wait for a task's results. When it has ended several workers, each item is tried alone, one after the other.

    Tasks that wait on a worker that dies are suspected with the one that ended it: no other item may wait there.
    """
    from distributed.scheduler import KilledWorker

    try:
        return list(future.result())
    except KilledWorker:
        if len(chunk) == 1:
            return [None]
        results: list[Result | None] = []
        for item in chunk:
            own = _results(client, function, [item], client.submit(function, [item], pure=False), address)
            results.extend(own)
        return results
    except ImgtoolError:
        raise
    except Exception as error:
        if future.cancelled() or isinstance(error, OSError):
            raise ClusterError(f"{address}: the scheduler is gone") from None
        raise _worker_error(address, error) from None


def _worker_error(address: str, error: Exception) -> ClusterError:
    """Return the error of a worker that lacks something, or has a defect."""
    text = str(error).split("\n")[0][:100]
    return ClusterError(f"{address}: a worker cannot do the work ({type(error).__name__}: {text})")


@contextmanager
def _connect(address: str, workers: int) -> Iterator[Any]:
    """Hold a client of the scheduler, whose own remarks are not printed."""
    if importlib.util.find_spec("distributed") is None:
        raise MissingExtraError("cluster", "cluster", parameters=("cluster",))
    logging.disable(logging.CRITICAL)
    environment = dict(os.environ)
    try:
        dask: Any = importlib.import_module("dask")
        distributed: Any = importlib.import_module("distributed")
        with dask.config.set({"distributed.comm.timeouts.connect": _WAIT_S}):
            started = None
            try:
                if address == LOCAL:
                    # Without an address Dask would take port 8787, and warn where another process has it.
                    started = distributed.LocalCluster(
                        n_workers=workers,
                        threads_per_worker=1,
                        host="127.0.0.1",
                        dashboard_address=None,
                        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                    )
                client = distributed.Client(started or address, timeout=_WAIT_S, set_as_default=False)
                client.wait_for_workers(1, timeout=_WAIT_S)
            except (OSError, ValueError, TypeError) as error:
                text = "has no workers" if "workers" in str(error) else "no Dask scheduler answers there"
                raise ClusterError(f"{address}: {text}") from None
            try:
                yield client
            finally:
                for each in (client, started):
                    with suppress(OSError):  # on a busy machine, not in time; the process is about to end
                        if each:
                            each.close(timeout=1)
    finally:
        logging.disable(logging.NOTSET)
        for name in {*os.environ} - {*environment}:  # Dask's: one thread, for its workers and all that comes after
            del os.environ[name]
        os.environ.update(environment)
