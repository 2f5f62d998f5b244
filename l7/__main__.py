"""The console script ``l7``, and ``python -m l7``: Ctrl-C is quiet from here on, also while modules are imported."""

import signal
import sys


def main() -> int:
    """Run the command line and return the exit code."""
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:
        # Nothing is under way that had to be put in order: the process may simply end.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from l7 import cli

    if interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
