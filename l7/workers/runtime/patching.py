"""Make the standard library of a worker or the monitor process wait in greenlets."""

from __future__ import annotations

from gevent import events, monkey


def patch_all() -> None:
    """Patch as `gevent.monkey.patch_all` does, but call no plug-ins that other packages may have installed for it.

    For each of its two dozen steps gevent would look into every installed package for some: nine tenths of the CPU that
    a worker takes to begin, and the code of strangers in the process that serves.
    """
    asking = events.notify_and_call_entry_points
    events.notify_and_call_entry_points = events.notify
    try:
        monkey.patch_all()
    finally:
        events.notify_and_call_entry_points = asking
