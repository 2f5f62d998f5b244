"""What has a path while l7 runs, and may be removed by others: by cleaners of /tmp, or with its directory.

A reload looks at each once. Unix sockets that are listened on are made anew for the new generation
(`l7.master.listeners`), and so is a log (`l7.master.logfile`); here are the control socket, its pointers and the pid
file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from l7.errors import StartError
from l7.master.control import Desk, open_control
from l7.master.pidfile import PidFile
from l7.master.privileges import account
from l7.master.startup import Ground
from l7.telemetry.events import Events

T = TypeVar("T")


def restore(ground: Ground, desk: Desk, environ: Mapping[str, str], events: Events) -> None:
    """Make anew what is gone, as whom l7 has become; what cannot be made is warned of."""
    if not desk.is_open or ground.borrowed:
        return
    _restore_control(ground, desk, environ, events)
    _restore_pid_file(ground, events)


def _restore_control(ground: Ground, desk: Desk, environ: Mapping[str, str], events: Events) -> None:
    before = ground.control
    if before is not None and not before.is_gone:
        before.point(ground.signs, None, environ)
        if before.pointers is not None:
            before.pointers.set()
        return
    made = _attempt(lambda: open_control(ground.signs, None, environ, events.warning), events)
    if made is None:
        return
    made.point(ground.signs, None, environ)
    desk.open(made)
    ground.control = made
    if before is not None:
        before.close()
        events.info(f"control: {before.path} was gone; `l7 reload` and `l7 status` find this l7 by {made.path}")


def _restore_pid_file(ground: Ground, events: Events) -> None:
    before = ground.pid_file
    if before is None or before.descriptor < 0 or not before.is_gone:
        return
    made = _attempt(lambda: PidFile(before.path), events, f"; it was removed, and {account()} cannot make it anew")
    if made is not None:
        ground.pid_file = made
        before.release()
        events.info(f"pid-file: {before.path} was gone and is made anew")


def _attempt(make: Callable[[], T], events: Events, why: str = "") -> T | None:
    try:
        return make()
    except StartError as error:
        events.warning(f"{error}{why}")
        return None
