"""The states of the master and of a child, and the transitions between them, as tables.

A pair of state and event that is not listed here cannot happen; when it does all the same it is a bug, and `follow`
raises instead of guessing. What a signal leads to stands in `MASTER`; what the actions are is in
`l7.master.supervision.step`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar


class MasterPhase(Enum):
    """The phase of the master."""

    STARTING = "starting"
    SERVING = "serving"
    CANARY = "canary"
    ROLLING = "rolling"
    ROLLBACK = "rollback"
    UPGRADING = "upgrading"
    RETIRING = "retiring"
    DRAINING = "draining"
    STOPPING = "stopping"
    STOPPED = "stopped"


class MasterEvent(Enum):
    """What changes the master's state."""

    READY = "ready"
    UNBOOTABLE = "no worker can boot"
    LOADED = "loaded"
    REFUSED = "refused by the look ahead"
    PROVEN = "proven"
    ROLLED = "rolled"
    FAILED = "failed"
    UPGRADE = "upgrade"
    REPLACED = "replaced"
    TERMINATE = "terminate"
    INTERRUPT = "interrupt"
    LATE = "late"
    EMPTY = "no worker left"


class ChildState(Enum):
    """A child, worker or monitor process, as its master sees it."""

    STARTING = "starting"
    WAITING = "waiting"
    """A monitor process that is ready, while another one is not gone yet."""
    READY = "ready"
    DRAINING = "draining"
    RELAYING = "relaying"
    """A worker that drains, and will go on for connections in TLS that others serve."""
    ABORTED = "aborted"
    STOPPING = "stopping"
    KILLED = "killed"
    EXITED = "exited"


class ChildEvent(Enum):
    """What changes a child's state."""

    BOOTED = "booted"
    WAIT = "wait"
    DRAIN = "drain"
    RELAY = "relay"
    SILENT = "silent"
    STOP = "stop"
    LATE = "late"
    KILL = "kill"
    EXIT = "exit"


_M, _ME = MasterPhase, MasterEvent

MASTER: Mapping[tuple[MasterPhase, MasterEvent], MasterPhase] = {
    # The first generation: one worker that boots is enough, and none is the end.
    (_M.STARTING, _ME.READY): _M.SERVING,
    (_M.STARTING, _ME.UNBOOTABLE): _M.STOPPING,
    # A reload: one worker of the new generation is proven, then the others follow one by one.
    (_M.SERVING, _ME.LOADED): _M.CANARY,
    (_M.CANARY, _ME.REFUSED): _M.SERVING,
    (_M.CANARY, _ME.PROVEN): _M.ROLLING,
    (_M.ROLLING, _ME.ROLLED): _M.SERVING,
    # A generation that does not boot: back to the one before, the same way, one by one.
    (_M.CANARY, _ME.FAILED): _M.ROLLBACK,
    (_M.ROLLING, _ME.FAILED): _M.ROLLBACK,
    (_M.ROLLBACK, _ME.ROLLED): _M.SERVING,
    # An upgrade: another l7 boots beside this one, and takes over or does not.
    (_M.SERVING, _ME.UPGRADE): _M.UPGRADING,
    (_M.UPGRADING, _ME.FAILED): _M.SERVING,
    (_M.UPGRADING, _ME.REPLACED): _M.RETIRING,
    (_M.UPGRADING, _ME.TERMINATE): _M.DRAINING,
    (_M.UPGRADING, _ME.INTERRUPT): _M.STOPPING,
    (_M.RETIRING, _ME.TERMINATE): _M.DRAINING,
    (_M.RETIRING, _ME.INTERRUPT): _M.STOPPING,
    (_M.RETIRING, _ME.LATE): _M.STOPPING,
    (_M.RETIRING, _ME.EMPTY): _M.STOPPED,
    # TERM: requests in flight are finished. Once more, or INT, or QUIT: at once.
    (_M.STARTING, _ME.TERMINATE): _M.DRAINING,
    (_M.SERVING, _ME.TERMINATE): _M.DRAINING,
    (_M.CANARY, _ME.TERMINATE): _M.DRAINING,
    (_M.ROLLING, _ME.TERMINATE): _M.DRAINING,
    (_M.ROLLBACK, _ME.TERMINATE): _M.DRAINING,
    (_M.DRAINING, _ME.TERMINATE): _M.STOPPING,
    (_M.DRAINING, _ME.LATE): _M.STOPPING,
    (_M.DRAINING, _ME.EMPTY): _M.STOPPED,
    (_M.STARTING, _ME.INTERRUPT): _M.STOPPING,
    (_M.SERVING, _ME.INTERRUPT): _M.STOPPING,
    (_M.CANARY, _ME.INTERRUPT): _M.STOPPING,
    (_M.ROLLING, _ME.INTERRUPT): _M.STOPPING,
    (_M.ROLLBACK, _ME.INTERRUPT): _M.STOPPING,
    (_M.DRAINING, _ME.INTERRUPT): _M.STOPPING,
    (_M.STOPPING, _ME.TERMINATE): _M.STOPPING,
    (_M.STOPPING, _ME.INTERRUPT): _M.STOPPING,
    # A process that not even KILL ends within seconds is left to init.
    (_M.STOPPING, _ME.LATE): _M.STOPPED,
    (_M.STOPPING, _ME.EMPTY): _M.STOPPED,
}

_C, _CE = ChildState, ChildEvent

CHILD: Mapping[tuple[ChildState, ChildEvent], ChildState] = {
    (_C.STARTING, _CE.BOOTED): _C.READY,
    (_C.STARTING, _CE.SILENT): _C.ABORTED,
    (_C.STARTING, _CE.STOP): _C.STOPPING,
    (_C.STARTING, _CE.EXIT): _C.EXITED,
    # A monitor process begins when no other one is left.
    (_C.STARTING, _CE.WAIT): _C.WAITING,
    (_C.WAITING, _CE.BOOTED): _C.READY,
    (_C.WAITING, _CE.SILENT): _C.ABORTED,
    (_C.WAITING, _CE.STOP): _C.STOPPING,
    (_C.WAITING, _CE.EXIT): _C.EXITED,
    (_C.READY, _CE.DRAIN): _C.DRAINING,
    (_C.READY, _CE.SILENT): _C.ABORTED,
    (_C.READY, _CE.STOP): _C.STOPPING,
    (_C.READY, _CE.EXIT): _C.EXITED,
    # A worker that drains for a reload is told again, and to be quicker, when l7 stops.
    (_C.DRAINING, _CE.DRAIN): _C.DRAINING,
    (_C.DRAINING, _CE.SILENT): _C.ABORTED,
    (_C.DRAINING, _CE.STOP): _C.STOPPING,
    (_C.DRAINING, _CE.LATE): _C.KILLED,
    (_C.DRAINING, _CE.KILL): _C.KILLED,
    (_C.DRAINING, _CE.EXIT): _C.EXITED,
    # One that relays goes on beyond the time that it had to drain; when l7 stops it drains once more.
    (_C.DRAINING, _CE.RELAY): _C.RELAYING,
    (_C.RELAYING, _CE.DRAIN): _C.DRAINING,
    (_C.RELAYING, _CE.SILENT): _C.ABORTED,
    (_C.RELAYING, _CE.STOP): _C.STOPPING,
    (_C.RELAYING, _CE.KILL): _C.KILLED,
    (_C.RELAYING, _CE.EXIT): _C.EXITED,
    # A hung child: its interpreter writes where it hangs and ends; one that cannot even do that is killed.
    (_C.ABORTED, _CE.LATE): _C.KILLED,
    (_C.ABORTED, _CE.KILL): _C.KILLED,
    (_C.ABORTED, _CE.EXIT): _C.EXITED,
    # One that was to finish what it may have begun to serve is told to be quicker.
    (_C.STOPPING, _CE.STOP): _C.STOPPING,
    (_C.STOPPING, _CE.LATE): _C.KILLED,
    (_C.STOPPING, _CE.EXIT): _C.EXITED,
    (_C.KILLED, _CE.KILL): _C.KILLED,
    (_C.KILLED, _CE.EXIT): _C.EXITED,
}

ROLLS = frozenset({_M.CANARY, _M.ROLLING, _M.ROLLBACK})
"""One generation is being replaced by another."""
ENDS = frozenset({_M.RETIRING, _M.DRAINING, _M.STOPPING, _M.STOPPED})
"""Nothing is started any more."""
LIVE = frozenset({_C.STARTING, _C.WAITING, _C.READY})
"""A child that fills its place, or will in a moment."""
DRAINS = frozenset({_C.DRAINING, _C.RELAYING})
"""A worker that accepts no more."""
BEATS = frozenset({_C.WAITING, _C.READY, _C.DRAINING, _C.RELAYING})
"""A child whose heartbeat counts; one that boots has a deadline of its own."""

_State = TypeVar("_State")
_Event = TypeVar("_Event")


class LifecycleError(Exception):
    """A state met an event that it cannot meet: a bug in l7."""


def follow(table: Mapping[tuple[_State, _Event], _State], state: _State, event: _Event) -> _State:
    """The state after ``event``; raises `LifecycleError` for a pair that the table does not list."""
    try:
        return table[state, event]
    except KeyError:
        raise LifecycleError(f"{state} cannot meet {event}") from None
