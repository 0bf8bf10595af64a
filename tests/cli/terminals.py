"""Commands whose standard error is a terminal."""

import contextlib
import os
import signal
import subprocess

from locations import IMGTOOL


def on_a_terminal(arguments, *, interrupt_at=None):
    """Run a command whose standard error is a terminal, with Ctrl-C at a text; return its status and what is there."""
    import pty

    child, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen([*IMGTOOL, *arguments], stdout=subprocess.DEVNULL, stderr=terminal, env=environment)
    os.close(terminal)
    seen, is_sent = b"", False
    with contextlib.suppress(OSError):  # Linux says so when the other end is closed
        while data := os.read(child, 1 << 16):
            seen += data
            if interrupt_at and interrupt_at in seen and not is_sent:
                process.send_signal(signal.SIGINT)
                is_sent = True
    os.close(child)
    return process.wait(60), seen.decode()
