"""Where the program begins: `imgtool`, and `python -m imgtool`."""

import gc
import os
import signal
import sys


def main() -> None:
    """Run the command line. Until it is loaded, Ctrl-C ends the process as it ends any program."""
    open_standard_streams()
    gc.set_threshold(100_000, 20, 20)  # modules that are imported live on, so looking for garbage among them is in vain
    python_answers = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if python_answers:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not os.environ.get("IMGTOOL_TRACEBACK"):
        silence_libraries()
    from imgtool.cli.main import end_on_interrupt, run

    if python_answers:
        end_on_interrupt()
    run()


def open_standard_streams() -> None:
    """Open what is closed of standard input, output and error on the null device, before a file takes its number.

    Input is open for writing there and output for reading: whoever needs them meets an error (bad file descriptor), as
    if they were closed still. What is said on standard error is lost, and no reason to fail.
    """
    for number, (name, flags) in enumerate([("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)]):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, flags)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            stream = open(number, mode, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def silence_libraries() -> None:
    """Keep standard error for imgtool's own lines: image libraries in C print their warnings to descriptor 2."""
    try:
        own = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
    except OSError:  # there is no standard error
        return
    sys.stderr = os.fdopen(own, "w", buffering=1, encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    main()
