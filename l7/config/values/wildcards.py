"""Which addresses cannot be listened on side by side, on one port: a wildcard takes all of its families."""

from __future__ import annotations

_ANY = ("*", "::")
"""Both families, unless IPv4 is asked for beside it."""
_ANY_IPV4 = "0.0.0.0"
_WILD = frozenset((*_ANY, _ANY_IPV4))


def collision(bind: tuple[str, ...], bound: tuple[str, ...] = ()) -> tuple[str, str] | None:
    """An address that cannot be bound, and the one that is in its way: of those that are ``bound``, or beside it."""
    theirs = _families(bound or bind)
    for address, families in _families(bind).items():
        if address in bound:
            continue
        for other, taken in theirs.items():
            if address != other and families & taken and {address, other} & _WILD:
                return address, other
    return None


def _families(bind: tuple[str, ...]) -> dict[str, set[int]]:
    both = {6} if _ANY_IPV4 in bind else {4, 6}
    return {
        address: both if address in _ANY else {6 if ":" in address else 4}
        for address in bind
        if not address.startswith("unix:")
    }
