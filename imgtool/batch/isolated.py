"""Decode in worker processes, so that a file that crashes its decoder costs only its own result.

A worker process reads one image after the other; each thread that asks gets a worker to itself, and one that died is
replaced.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from imgtool.batch.worker import WorkerDiedError, Workers, channels, send
from imgtool.errors import ImageError, ImgtoolError
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

    from imgtool.image.codecs.header import Header
    from imgtool.image.metadata import Metadata

MAX_SECONDS = 60  # for one image
BASE_MEMORY_BYTES = 1 << 30  # bytes of address space for the program itself
BYTES_PER_PIXEL = 32  # ... and for each pixel that max_pixels allows: four channels of 4 bytes, twice


class IsolatedReader:
    """`read` and `probe` of `imgtool.image`, done by worker processes; several threads may call them at once."""

    def __init__(self) -> None:
        self._workers = Workers(__name__, f"serve({MAX_SECONDS})")

    def read(self, data: bytes, *, max_pixels: int, remarks: list[Remark] | None = None, **settings: Any) -> np.ndarray:
        """Return the image as an array; see `imgtool.image.read`. Raises ImageError, also when the decoder died."""
        answer, image = self._ask(data, {"max_pixels": max_pixels, "settings": settings})
        if remarks is not None:
            remarks += [Remark(**each) for each in answer["remarks"]]
        return image  # type: ignore[no-any-return]

    def probe(self, data: bytes, *, page: int | None = None) -> Header:
        """Return what the header says. Raises ImageError, also when the decoder died."""
        from imgtool.image.codecs.header import Header

        return Header(**self._ask(data, {"page": page})[0]["header"])

    def metadata(self, data: bytes, page: int | None, remarks: list[Remark]) -> Metadata | None:
        """Return what `imgtool.image.read.find_metadata` does. Raises ImageError, also when the decoder died."""
        from imgtool.image.metadata import from_plain

        answer = self._ask(data, {"page": page, "metadata": True})[0]
        remarks += [Remark(**each) for each in answer["remarks"]]
        return from_plain(answer["metadata"])

    def close(self) -> None:
        """End the workers."""
        self._workers.close()

    def _ask(self, data: bytes, request: dict[str, Any]) -> Any:
        """Have a worker do what is asked."""
        try:
            answer, image = self._workers.ask(request, data)
        except WorkerDiedError as error:
            reason = f"no answer within {MAX_SECONDS} seconds" if str(error) == "SIGALRM" else str(error)
            raise ImageError(f"the decoder died ({reason})") from None
        if "error" in answer:
            raise ImageError(str(answer["error"]), hint=answer["hint"], parameters=answer["parameters"])
        if "memory" in answer:
            raise MemoryError
        return answer, image


def serve(seconds: int) -> None:
    """Run a worker: answer requests, each within so many seconds, until standard input ends."""
    requests, answers = channels()
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["size"])
        _limit_memory(request.get("max_pixels", 0))
        _alarm(seconds)
        head, body = _answer(data, request)
        _alarm(0)
        send(answers, head, body)


def _answer(data: bytes, request: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Read an image, or its header when no limit of pixels is named."""
    from imgtool.image.read import probe, read

    try:
        if "metadata" in request:
            return _metadata(data, request["page"]), b""
        if "max_pixels" not in request:
            return {"header": probe(data, page=request["page"]).__dict__}, b""
        remarks: list[Remark] = []
        image = read(data, max_pixels=request["max_pixels"], remarks=remarks, **request["settings"])
        told = [asdict(each) for each in remarks]
        return {"shape": image.shape, "dtype": image.dtype.name, "remarks": told}, image.data.cast("B")
    except ImgtoolError as error:  # of a missing extra, too
        return {"error": str(error), "hint": error.hint, "parameters": error.parameters}, b""
    except MemoryError:
        return {"memory": True}, b""


def _metadata(data: bytes, page: int | None) -> dict[str, Any]:
    """Return the answer on an image's metadata."""
    from imgtool.image.metadata import to_plain
    from imgtool.image.read import find_metadata

    remarks: list[Remark] = []
    found = find_metadata(data, page, remarks)
    return {"metadata": to_plain(found), "remarks": [asdict(each) for each in remarks]}


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
    wanted = BASE_MEMORY_BYTES + BYTES_PER_PIXEL * pixels
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
