"""Settings that a library keeps once for the whole process, used from several threads at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class SharedSetting:
    """A setting that is off unless a thread needs it on.

    Threads that want it alike go together; those that want it otherwise wait until they have left. `turn` is called
    with the new state, never by two threads at once.
    """

    def __init__(self, turn: Callable[[bool], None]) -> None:
        self._turn = turn
        self._on = False
        self._inside = 0
        self._condition = threading.Condition()

    @contextmanager
    def at(self, on: bool) -> Iterator[None]:
        """Hold the setting on or off for a while."""
        with self._condition:
            self._condition.wait_for(lambda: self._inside == 0 or self._on == on)
            self._set(on)
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                if self._inside == 0:
                    self._set(False)
                    self._condition.notify_all()

    def _set(self, on: bool) -> None:
        if on != self._on:
            self._turn(on)
            self._on = on
