"""A worker process that answers requests, one after the other.

Requests and answers are a line of JSON followed by bytes, never a pickle. A worker ends when its standard input does,
so none outlives imgtool, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

PIPE_BYTES = 1 << 20  # bytes that may be on their way back, so that a worker need not wait until all are taken
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}  # of each library, in a process among others
TYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64")


class WorkerDiedError(Exception):
    """A worker ended instead of answering: the text says how."""


class Workers:
    """Workers that serve the same requests; several threads may ask at once, and each gets one to itself."""

    def __init__(self, module: str, call: str) -> None:
        """Start none yet; each will make a call of a function of that module, which is to serve requests."""
        self._module, self._call = module, call
        self._idle: list[_Worker] = []

    def ask(self, request: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], np.ndarray | None]:
        """Return the answer to a request, and the array if it has one. Raises WorkerDiedError; others go on."""
        worker = self._idle.pop() if self._idle else _Worker(self._module, self._call)
        try:
            answer = worker.ask(request, data)
        except (OSError, ValueError):
            raise WorkerDiedError(_reason(worker.end())) from None
        self._idle.append(worker)
        return answer

    def close(self) -> None:
        """End the workers."""
        while self._idle:
            self._idle.pop().end()


class _Worker:
    """One process and the pipes to it."""

    def __init__(self, module: str, call: str) -> None:
        code = f"import sys; sys.path[:] = {sys.path!a}; import {module} as served; served.{call}"
        command = [sys.executable, "-c", code]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        own = {**ONE_THREAD, **os.environ}
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, env=own)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._back = self._process.stdin, self._process.stdout
        with contextlib.suppress(ImportError, AttributeError, OSError):  # only Linux has it, and a limit to it
            import fcntl

            fcntl.fcntl(self._back, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def ask(self, request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], np.ndarray | None]:
        """Return the answer to a request, and the array if it has one. Raises OSError or ValueError without answer."""
        send(self._to, {**request, "size": len(data)}, data)
        answer: dict[str, Any] = json.loads(self._back.readline())
        return answer, _receive(self._back, answer) if "shape" in answer else None

    def end(self) -> int:
        """Close the pipes, which ends the worker, and return its exit status, negative for a signal."""
        with contextlib.suppress(OSError):  # what was still to be sent to a dead worker
            self._to.close()
        self._back.close()
        return self._process.wait()


def send(stream: IO[bytes], head: dict[str, Any], *parts: Any) -> None:
    """Write a line of JSON, then bytes, which come in parts."""
    stream.write(json.dumps(head).encode() + b"\n")
    for part in parts:
        stream.write(part)
    stream.flush()


def _receive(stream: Any, answer: dict[str, Any]) -> np.ndarray:
    """Read an array. Raises ValueError when there is less than announced."""
    import numpy as np

    if answer["dtype"] not in TYPES:
        raise ValueError(answer["dtype"])
    array = np.empty(answer["shape"], answer["dtype"])
    if array.size and stream.readinto(array.data.cast("B")) != array.nbytes:
        raise ValueError("numbers are missing")
    return array


def _reason(status: int) -> str:
    """Say how a worker ended."""
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


def channels() -> tuple[IO[bytes], IO[bytes]]:
    """Return where a worker's requests come from and its answers go to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # a library that prints must not answer
    return sys.stdin.buffer, answers
