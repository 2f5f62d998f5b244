"""What an administrator wants of single servers: ``l7 server HOST ADDRESS drain|ready|maint|weight N``.

An override is written into the master's lane of the shared memory, where all workers notice it within milliseconds. It
holds over reloads, crashes and upgrades until it is changed, and ends when the configuration has the server no more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from l7.config.values.addresses import Address
from l7.config.values.names import did_you_mean, printable
from l7.config.values.routekeys import normal_route_key, routes_of
from l7.errors import L7Error
from l7.ipc.requests import Answer, ServerRequest, refusal
from l7.master.state.shared_state import SharedMemoryOwner
from l7.sharedmem import layout
from l7.sharedmem.server_history import BY_MASTER, StateChange
from l7.telemetry.events import Events, named
from l7.telemetry.servers.changes import ServerChange

STATES = {"ready": 0, "drain": layout.DRAIN, "maint": layout.MAINT}
"""The states that can be set, as the shared memory stores them."""
HEAVIEST = 256
DEFAULT = "default"
"""The word for the weight of the configuration."""

_EVENTS = {0: ServerChange.READY, layout.DRAIN: ServerChange.DRAIN, layout.MAINT: ServerChange.MAINT}
_NAMES = {number: name for name, number in STATES.items()}


class OverrideError(L7Error):
    """An override that is refused; the text says why."""


@dataclass(frozen=True)
class Override:
    """The override of one server.

    ``since`` is when its state was last changed (`time.monotonic_ns`, which an upgrade does not change).
    """

    state: int = 0
    since: int = 0
    weight: int | None = None

    def __str__(self) -> str:
        return _NAMES[self.state] + ("" if self.weight is None else f", weight {self.weight}")


NO_ORDER = Override()


class ServerOverrides:
    """All overrides, by the key of the server or of one address of a name."""

    def __init__(self, shared_state: SharedMemoryOwner, events: Events) -> None:
        self._shared_state = shared_state
        self._events = events
        self._orders: dict[layout.RowKey, Override] = {}

    def answer(self, request: ServerRequest) -> Answer:
        """Set an override as requested; returns the answer to the command."""
        try:
            keys = self.find(request.host, request.address)
            change = _change(request.want, request.weight)
        except OverrideError as error:
            return refusal(str(error))
        return {"ok": True, "servers": [self._order(key, change) for key in keys]}

    def _order(self, key: layout.RowKey, change: OverrideChange) -> dict[str, Any]:
        before = self._orders.get(key, NO_ORDER)
        order = change(before)
        if change.of_weight:
            self._forget_weights_below(key)
        elif order.state != before.state or self._is_overruled(key, before):
            order = replace(order, since=time.monotonic_ns())
        self._orders[key] = order
        self._write(key, order)
        if order != before:
            self._note(key, order, change)
        words = f"{key[0]}: server {' at '.join(key[1:])}: {order} (was {before}), as an administrator wants"
        self._events.info(named("server.ordered", words, backend=key[0], server=key[1], state=order))
        return {
            "backend": key[0],
            "server": " at ".join(key[1:]),
            "state": _NAMES[order.state],
            "weight": order.weight,
            "in-flight": self._in_flight(key),
        }

    def _note(self, key: layout.RowKey, order: Override, change: OverrideChange) -> None:
        """Note an override in the server's history."""
        history, row = self._shared_state.shared_memory.history, self._shared_state.rows[key]
        event = ServerChange.WEIGHT if change.of_weight else _EVENTS[order.state]
        weight = 0 if order.weight is None or not change.of_weight else order.weight + 1
        noted = StateChange(time.time_ns(), event, 0, weight)
        with suppress(OSError):  # without memory for it, it is not noted; the override holds all the same
            history.append(row, noted, history.head(row, BY_MASTER), BY_MASTER)

    def _is_overruled(self, key: layout.RowKey, order: Override) -> bool:
        """Whether a later override, of the address's name or of one of the name's addresses, replaces it."""
        related = (other for other in self._orders if other[:2] == key[:2] and len(other) != len(key))
        return any(self._orders[other].since > order.since for other in related)

    def _forget_weights_below(self, name: layout.RowKey) -> None:
        """Remove the weights of a name's addresses, so that the name's weight holds for all."""
        for key, order in list(self._orders.items()):
            if len(name) == 2 and len(key) == 3 and key[:2] == name and order.weight is not None:
                self._orders[key] = replace(order, weight=None)
                self._write(key, self._orders[key])

    def _in_flight(self, key: layout.RowKey) -> int:
        return sum(
            self._shared_state.writer.total(layout.place(self._shared_state.rows[each], layout.IN_FLIGHT))
            for each in self._below(key)
        )

    def _below(self, key: layout.RowKey) -> Iterator[layout.RowKey]:
        """A server, and all addresses of its name."""
        yield key
        for host, port, *_ in self._shared_state.resolved.get((key[0], key[1]), ()) if len(key) == 2 else ():
            yield (*key, str(Address(host, port)))

    def find(self, host: str, address: str) -> list[layout.RowKey]:
        """The keys of the server that is named; several where an address belongs to more than one name.

        :raises OverrideError: there is none.
        """
        try:
            route = normal_route_key(host)
            wanted = str(Address.parse(address))
        except ValueError as error:
            raise OverrideError(str(error)) from None
        # A backend with several routes goes by each of them as well as by all.
        backends = {name: key[0] for key in self._shared_state.rows if key for name in (key[0], *routes_of(key[0]))}
        known = [key for key in self._shared_state.rows if key[:1] == (backends.get(route),)]
        if not known:
            raise OverrideError(f"no backend is {printable(route)}{did_you_mean(route, backends)}")
        found = [key for key in known if key[1:] == (wanted,)] or [key for key in known if key[2:] == (wanted,)]
        if not found:
            servers = {label for key in known for label in key[1:]}
            raise OverrideError(f"{route} has no server {printable(wanted)}{did_you_mean(wanted, servers)}")
        return found

    # --- keeping them -----------------------------------------------------------------------------------------------

    def renew(self) -> None:
        """Write the overrides again, for servers whose row is new."""
        for key, order in self._orders.items():
            if key in self._shared_state.rows:
                self._write(key, order)

    def settle(self) -> None:
        """Remove overrides of servers that are in no served configuration."""
        for key in [key for key in self._orders if key[:2] not in self._shared_state.rows]:
            order = self._orders.pop(key)
            self._write(key, NO_ORDER)  # it may come back to the same row
            if order.state or order.weight is not None:
                self._events.info(f"{key[0]}: server {key[1]} is gone, and so is what was wanted of it: {order}")

    def _write(self, key: layout.RowKey, order: Override) -> None:
        writer, row = self._shared_state.writer, self._shared_state.rows.last(key)
        if row is None:
            return
        wanted = {
            layout.ADMIN: order.state,
            layout.ADMIN_SINCE: order.since,
            layout.ADMIN_WEIGHT: 0 if order.weight is None else order.weight + 1,
        }
        if any(writer.get(layout.place(row, cell)) != value for cell, value in wanted.items()):
            for cell, value in wanted.items():
                writer.put(layout.place(row, cell), value)
            writer.changed(row)

    # --- showing them, and handing them down ------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """The overrides as lines of the dump."""
        return [
            f"server {key[0]} {' at '.join(key[1:])}: {order}, as an administrator wants"
            for key, order in sorted(self._orders.items())
            if order.state or order.weight is not None
        ]

    def plain(self) -> list[list[Any]]:
        """All overrides as plain values, for the successor."""
        return [[list(key), order.state, order.since, order.weight] for key, order in self._orders.items()]

    def adopt(self, orders: list[list[Any]]) -> None:
        """Take over the predecessor's overrides."""
        for key, state, since, weight in orders:
            wanted = None if weight is None else int(weight)
            self._orders[tuple(map(str, key))] = Override(int(state), int(since), wanted)
        self.renew()


@dataclass(frozen=True)
class OverrideChange:
    """A change of an override: its weight, or its state."""

    of_weight: bool
    value: int | None

    def __call__(self, order: Override) -> Override:
        """Return the changed override."""
        return replace(order, weight=self.value) if self.of_weight else replace(order, state=self.value or 0)


def _change(want: str, weight: str | int | None) -> OverrideChange:
    if want in STATES:
        return OverrideChange(False, STATES[want])
    if want != "weight":
        raise OverrideError(f"{printable(want) or 'nothing'} is no order{did_you_mean(want, [*STATES, 'weight'])}")
    if weight == DEFAULT:
        return OverrideChange(True, None)
    text = str(weight)
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > HEAVIEST:
        raise OverrideError(f"a weight is 0 to {HEAVIEST}, or `{DEFAULT}` for that of the configuration")
    return OverrideChange(True, int(text))
