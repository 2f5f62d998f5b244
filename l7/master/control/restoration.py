"""What has a path while l7 runs, and may be removed by others: by cleaners of /tmp, or with its directory.

A reload looks at each once. Unix sockets that are listened on are made anew for the new generation
(`l7.master.resources.listeners`), and so is a log (`l7.master.resources.logfile`); here are the control socket, its
entry in the registry of running instances, and the pid file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from l7.errors import StartError
from l7.master.control.server import ControlServer
from l7.master.resources.control_socket import open_control
from l7.master.resources.pidfile import PidFile
from l7.master.resources.privileges import account
from l7.master.resources.startup import MasterResources
from l7.telemetry.events import Events

T = TypeVar("T")


def restore(
    resources: MasterResources, control_server: ControlServer, environ: Mapping[str, str], events: Events
) -> None:
    """Make the paths anew that are gone, as the account that l7 runs as; warn of those that cannot be made."""
    if not control_server.is_open or resources.borrowed:
        return
    _restore_control(resources, control_server, environ, events)
    _restore_pid_file(resources, events)


def _restore_control(
    resources: MasterResources, control_server: ControlServer, environ: Mapping[str, str], events: Events
) -> None:
    before = resources.control
    if before is not None and not before.is_gone:
        before.register(resources.instance_key, None, environ)
        if before.registration is not None:
            before.registration.write()
        return
    made = _attempt(lambda: open_control(resources.instance_key, None, environ, events.warning), events)
    if made is None:
        return
    made.register(resources.instance_key, None, environ)
    control_server.open(made)
    resources.control = made
    if before is not None:
        before.close()
        events.info(f"control: {before.path} was gone; `l7 reload` and `l7 status` find this l7 by {made.path}")


def _restore_pid_file(resources: MasterResources, events: Events) -> None:
    before = resources.pid_file
    if before is None or before.descriptor < 0 or not before.is_gone:
        return
    made = _attempt(lambda: PidFile.take(before.path), events, f"; it was removed, and {account()} cannot make it anew")
    if made is not None:
        resources.pid_file = made
        before.release()
        events.info(f"pid-file: {before.path} was gone and is made anew")


def _attempt(make: Callable[[], T], events: Events, why: str = "") -> T | None:
    try:
        return make()
    except StartError as error:
        events.warning(f"{error}{why}")
        return None
