"""Switching between greenlets.

Compiled, the C in ``switching.pxd`` runs: greenlet's own C API, which looks no method up and makes no tuple of nothing.
``Hub.switch`` does the same as `switch` to the hub, after looking for a hook that our greenlets do not have.
"""

from __future__ import annotations

from typing import Any

from greenlet import getcurrent, greenlet


def current() -> greenlet:
    """The greenlet that runs."""
    return getcurrent()


def switch(target: greenlet) -> Any:
    """Run ``target``; returns what is given to this greenlet when it goes on, and raises what is thrown into it."""
    return target.switch()


def give(target: greenlet, value: object) -> Any:
    """As `switch`; ``target`` goes on with ``value``."""
    return target.switch(value)
