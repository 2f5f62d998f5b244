"""``python -m l7`` is the console script ``l7``."""

import sys

from l7.cli import main

if __name__ == "__main__":
    sys.exit(main())
