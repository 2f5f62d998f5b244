"""Commands that read the recorder of the l7 that runs: ``l7 why`` and ``l7 tail``."""
