"""A cache of bounded size, which keeps what was used lately: for what depends on clients and name servers.

One rule for all: there are two generations. What is set or found goes into the young one; when that holds half of the
bound, it becomes the old one, and what the old one before held is forgotten. So each step takes the same time, and
what was used among the last half of the bound is always there.
"""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """A mapping of at most ``most`` keys, two at least."""

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old.keys() - self._young.keys())

    def get(self, key: K) -> V | None:
        """What was set for a key; None where that is forgotten, or was never set."""
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self[key] = found
        return found

    def __setitem__(self, key: K, value: V) -> None:
        if len(self._young) >= self._half and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = value
