"""The console script ``l7``, and ``python -m l7``: Ctrl-C is quiet from here on, also while modules are imported."""

import gc
import os
import signal
import sys
from typing import NoReturn

from l7.compiled import MixedBuildError


def main() -> NoReturn:
    """Run the command line and exit."""
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
        code = cli.main(run)
    except MixedBuildError as error:
        print(f"l7: {error}", file=sys.stderr, flush=True)
        code = 1
    # All is written. The interpreter would only take apart, one by one, what ends with the process.
    os._exit(code)


if __name__ == "__main__":
    main()
