"""Where the program begins: `imgtool`, and `python -m imgtool`."""

import signal


def main() -> None:
    """Run the command line. Until it is loaded, Ctrl-C ends the process as it ends any program."""
    python_answers = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if python_answers:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from imgtool.cli.main import run

    if python_answers:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
