"""Decoding in processes of its own, so that a file that kills its decoder takes no other file with it.

A worker process reads one image after the other; each thread that asks gets a worker to itself, and one that died is
replaced. Both ways go a line of JSON and then bytes, never a pickle. A worker ends when its standard input does, so
none outlives imgtool, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any

from imgtool.errors import ImageError

if TYPE_CHECKING:
    import numpy as np

    from imgtool.image.read import Header

SECONDS = 60  # for one image
MEMORY = 1 << 30  # bytes of address space for the program itself
MEMORY_A_PIXEL = 32  # ... and for each pixel that --max-pixels allows: four channels of 4 bytes, twice
TYPES = ("uint8", "uint16", "float32", "float64")


class IsolatedReader:
    """`read` and `probe` of `imgtool.image`, done by worker processes; several threads may call them at once."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []

    def read(self, data: bytes, *, max_pixels: int, allow_truncated: bool = False) -> np.ndarray:
        """Return the image as an array. Raises ImageError, also when the decoder died."""
        image: np.ndarray = self._ask(data, {"max_pixels": max_pixels, "allow_truncated": allow_truncated})
        return image

    def probe(self, data: bytes) -> Header:
        """Return what the header says. Raises ImageError, also when the decoder died."""
        from imgtool.image.read import Header

        return Header(**self._ask(data, {}))

    def close(self) -> None:
        """End the workers."""
        while self._idle:
            self._idle.pop().end()

    def _ask(self, data: bytes, request: dict[str, Any]) -> Any:
        """Have a worker do what is asked; it is used again unless it died."""
        worker = self._idle.pop() if self._idle else _Worker()
        try:
            answer, image = worker.ask(data, request)
        except (OSError, ValueError):
            raise ImageError(f"the decoder died ({_reason(worker.end())})") from None
        self._idle.append(worker)
        if "error" in answer:
            raise ImageError(str(answer["error"]))
        if "memory" in answer:
            raise MemoryError
        return answer.get("header") if image is None else image


class _Worker:
    """One process and the pipes to it."""

    def __init__(self) -> None:
        code = f"import sys; sys.path[:] = {sys.path!a}; from {__name__} import serve; serve({SECONDS})"
        command = [sys.executable, "-c", code]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._back = self._process.stdin, self._process.stdout

    def ask(self, data: bytes, request: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray | None]:
        """Return the answer to a request, and the image if it is one. Raises OSError or ValueError without answer."""
        _send(self._to, {**request, "size": len(data)}, data)
        answer: dict[str, Any] = json.loads(self._back.readline())
        return answer, _received(self._back, answer) if "shape" in answer else None

    def end(self) -> int:
        """Close the pipes, which ends the worker, and return its exit status, negative for a signal."""
        with contextlib.suppress(OSError):  # what was still to be sent to a dead worker
            self._to.close()
        self._back.close()
        return self._process.wait()


def _send(stream: IO[bytes], head: dict[str, Any], body: Any) -> None:
    """Write a line of JSON, then bytes."""
    stream.write(json.dumps(head).encode() + b"\n")
    stream.write(body)
    stream.flush()


def _received(stream: Any, answer: dict[str, Any]) -> np.ndarray:
    """Read an image's pixels. Raises ValueError when they are fewer than announced."""
    import numpy as np

    if answer["dtype"] not in TYPES:
        raise ValueError(answer["dtype"])
    image = np.empty(answer["shape"], answer["dtype"])
    if stream.readinto(image.data.cast("B")) != image.nbytes:
        raise ValueError("pixels are missing")
    return image


def _reason(status: int) -> str:
    """Say how a worker ended."""
    if status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name
    return f"no answer within {SECONDS} seconds" if name == "SIGALRM" else name


def serve(seconds: int) -> None:
    """Be a worker: answer one request after the other, each within so many seconds, until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # a library that prints must not answer
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["size"])
        _limit_memory(request.get("max_pixels", 0))
        _alarm(seconds)
        head, body = _answer(data, request)
        _alarm(0)
        _send(answers, head, body)


def _answer(data: bytes, request: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Read an image, or its header when no limit of pixels is named."""
    from imgtool.image.read import probe, read

    try:
        if "max_pixels" not in request:
            return {"header": probe(data).__dict__}, b""
        image = read(data, max_pixels=request["max_pixels"], allow_truncated=request["allow_truncated"])
        return {"shape": image.shape, "dtype": image.dtype.name}, image.data.cast("B")
    except ImageError as error:
        return {"error": str(error)}, b""
    except MemoryError:
        return {"memory": True}, b""


def _alarm(seconds: int) -> None:
    """Have this process killed after so many seconds, where the system can; 0 ends that."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def _limit_memory(pixels: int) -> None:
    """Bound the address space to what an image of so many pixels may need, where the system can."""
    if sys.platform != "linux":
        return
    import resource

    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = MEMORY + MEMORY_A_PIXEL * pixels
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
