"""Fetch a file of published weights: https only, no more bytes than it has, under a temporary name, its hash checked.

What fails leaves nothing behind, and a file that is there as it was.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request

from imgtool.batch.outputs import new_file, write_file
from imgtool.classifiers import published
from imgtool.classifiers.published import PUBLISHED, RECORD_SUFFIX, cache_folder, find
from imgtool.errors import DataError, ParameterError
from imgtool.events import Events, Progress
from imgtool.names import unknown_name

OFFLINE_VARIABLE = "IMGTOOL_OFFLINE"
TIMEOUT_SECONDS = 30.0  # without a byte
SLOWEST_BYTES_A_SECOND = 1000.0  # over the time of a timeout; what comes slower has stalled
CHUNK_BYTES = 1 << 20
SPARE_BYTES = 1 << 20  # by which a file may be larger than its size says, which is rounded


class _NetworkError(Exception):
    """The network fails: no OSError, which would be taken for the disk's while the file is written."""


def fetch(name: str, *, overwrite: bool = False, events: Events | None = None) -> Path:
    """Download published weights, unless they are here, and return where they lie.

    Parameters
    ----------
    name : str
        Such as `alexnet@imagenet`; `PUBLISHED` has all.
    overwrite : bool
        Download anew what is here.
    events : callable, optional
        Called with `Progress` in bytes.

    Raises
    ------
    ParameterError
        No weights of this name are published.
    DataError
        The file cannot be had: the line says which file to put where.
    OutputError
        It cannot be written.
    """
    if name not in PUBLISHED:
        raise unknown_name("published weights", name, PUBLISHED)
    there = find(name)
    if there is not None and not overwrite:
        return there
    target, address = cache_folder() / PUBLISHED[name].file, published.ADDRESS + PUBLISHED[name].file
    if os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0"):
        raise DataError(f"{name}: {OFFLINE_VARIABLE} is set, so nothing is fetched{_by_hand(address, target)}")
    try:
        digest = _download(name, address, target, events)
    except _NetworkError as error:
        raise DataError(f"{address}: {error}{_by_hand(address, target)}") from None
    write_file(f"{target}{RECORD_SUFFIX}", published.record(target, digest), overwrite=True)
    return target


def _by_hand(address: str, target: Path) -> str:
    """Return how a user gets the file in another way."""
    return f"; put {address} into {target.parent}"


def _download(name: str, address: str, target: Path, events: Events | None) -> str:
    """Write the file and return its SHA-256. Raises DataError for one that is not the published one."""
    expected = PUBLISHED[name]
    most, digest, done = int(expected.megabytes * (1 << 20)) + SPARE_BYTES, hashlib.sha256(), 0
    with _open(address) as answer, new_file(target, overwrite=True) as file:
        length = answer.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else most
        if total > most:
            raise DataError(f"{address}: has {total} bytes, and {name} at most {most}")
        for chunk in _chunks(answer):
            done += len(chunk)
            if done > most:
                raise DataError(f"{address}: has more than the {most} bytes that {name} can have")
            file.write(chunk)
            digest.update(chunk)
            if events:
                events(Progress(min(done, total), total, f"fetching {name}"))
        if length and done != total:
            raise DataError(f"{address}: ended after {done} of {total} bytes; try again")
        found = digest.hexdigest()
        if not found.startswith(expected.digits):
            raise DataError(f"{address}: is not the published file: its SHA-256 begins with {found[:8]}")
    return found


def _chunks(answer: Any) -> Iterator[bytes]:
    """Yield what comes. Raises _NetworkError, also where next to nothing comes for long."""
    begin, received = time.monotonic(), 0
    while chunk := _read(answer):
        yield chunk
        received += len(chunk)
        if (elapsed := time.monotonic() - begin) > TIMEOUT_SECONDS:
            if received < SLOWEST_BYTES_A_SECOND * elapsed:
                raise _NetworkError(_reason(TimeoutError()))
            begin, received = time.monotonic(), 0


def _read(answer: Any) -> bytes:
    """Return what has come. Raises _NetworkError."""
    try:
        chunk: bytes = answer.read1(CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise _NetworkError(_reason(error)) from None
    return chunk


class _SafeRedirects(HTTPRedirectHandler):
    """Follows redirects to https only."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        """Refuse another protocol."""
        if not newurl.lower().startswith("https://"):
            raise URLError(f"leads to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(address: str) -> Any:
    """Return the open answer to a request. Raises _NetworkError."""
    import ssl
    from urllib.request import HTTPDefaultErrorHandler, HTTPErrorProcessor, ProxyHandler

    if not address.startswith("https://"):
        raise ParameterError(f"{address} is not https")
    opener = OpenerDirector()
    handlers = (ProxyHandler(), HTTPSHandler(context=ssl.create_default_context()), _SafeRedirects())
    for handler in (*handlers, HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
        opener.add_handler(handler)
    try:
        return opener.open(Request(address, headers={"User-Agent": "imgtool"}), timeout=TIMEOUT_SECONDS)
    except (OSError, HTTPException) as error:
        raise _NetworkError(_reason(error)) from None


def _reason(error: Exception) -> str:
    """Return what went wrong, in a line."""
    if isinstance(error, HTTPError):
        return f"the server says {error.code} {' '.join(error.reason.split())}"
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return f"nothing came for {TIMEOUT_SECONDS:g} seconds"
    if isinstance(cause, OSError):
        cause = cause.strerror.lower() if cause.strerror else str(cause)
    return " ".join(str(cause).split()) or type(error).__name__
