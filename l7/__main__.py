"""The console script ``l7``, and ``python -m l7``: Ctrl-C is quiet from here on, also while modules are imported."""

import gc
import signal
import sys

from l7.compiled import MixedBuildError


def main() -> int:
    """Run the command line and return the exit code."""
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:
        # Nothing is under way that had to be put in order: the process may simply end.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # To import is to make many objects and no garbage. What serves has it looked for again (`l7.commands.dispatch`).
    gc.disable()
    try:
        from l7 import cli

        run = cli.command_line(sys.argv[1:])
        if interrupt is signal.default_int_handler:
            signal.signal(signal.SIGINT, interrupt)
        return cli.main(run)
    except MixedBuildError as error:
        print(f"l7: {error}", file=sys.stderr)
        return 1
    finally:
        gc.freeze()  # else the interpreter would look through all of it for garbage once more, at its end


if __name__ == "__main__":
    sys.exit(main())
