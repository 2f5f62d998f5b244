"""What an l7 knows that the next one, which takes its place, should not have to find out anew.

What administrators want, what names stand for, what checks have found, what cookies are signed with, and what was
counted. It is handed down as an anonymous file, because it may be larger than a variable of the environment can be, and
beside it the ledgers themselves. It is written twice: when the next l7 is started, and when that takes over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from l7.balancing import cells
from l7.master.administration import Administration
from l7.master.books import Books
from l7.master.names import Names
from l7.master.rows import OutOfRowsError
from l7.telemetry.former import LAYOUT, Former
from l7.telemetry.ledger import CONTROL, Ledger

_HEALTH = (cells.HEALTH, cells.HEALTH_SINCE, cells.HEALTH_WHY)


def create() -> int:
    """Make the file; returns its descriptor."""
    return os.memfd_create("l7-bequest", os.MFD_CLOEXEC)


def write(descriptor: int, books: Books, administration: Administration) -> None:
    """Write all of it down, in the place of what was written before."""
    known = {
        "orders": administration.plain(),
        "names": [
            [*name, [[one.host, one.port, one.weight, one.reserve] for one in found]]
            for name, found in books.resolved.items()
        ],
        "health": [[list(key), *health] for key in books.rows if (health := _health(books, key))[0]],
        "cookie-key": books.cookie_key.hex(),
        "ledgers": [_told(one) for one in books.ledgers],
    }
    os.ftruncate(descriptor, 0)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.seek(0)
        file.write(json.dumps(known).encode())


def take(descriptors: Sequence[int], books: Books, administration: Administration) -> None:
    """Take over what is of use for this configuration, before the first fork. The file stays open."""
    descriptor, *ledgers = descriptors
    known = _read(descriptor)
    books.cookie_key = bytes.fromhex(known["cookie-key"])
    for route, address, found in known["names"]:
        _take_name(books, (str(route), str(address)), found)
    for key, *health in known["health"]:
        place = tuple(map(str, key))
        if place in books.rows:
            for cell, value in zip(_HEALTH, health, strict=True):
                books.ledger.write(CONTROL, books.rows[place], cell, int(value))
    administration.adopt(known["orders"])
    _take_counts(books, known.get("ledgers", []), ledgers)


def take_rest(descriptor: int, names: Names) -> None:
    """Take over what the l7 before found out while this one proved itself, and close the file.

    That is what names stand for: what is checked is checked by this one too, and orders are refused meanwhile.
    """
    try:
        known = _read(descriptor)
    except ValueError:
        return  # it was killed while it wrote; what was taken at first is all there is
    finally:
        os.close(descriptor)
    for route, address, found in known["names"]:
        names.inherit((str(route), str(address)), found)


def _read(descriptor: int) -> dict[str, Any]:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        known: dict[str, Any] = json.loads(file.read())
        return known


def _take_counts(books: Books, told: list[dict[str, Any]], descriptors: list[int]) -> None:
    """Read what the l7 before goes on counting, and add what was counted before that to our own."""
    for one, descriptor in zip(told, descriptors, strict=True):
        if one["layout"] != LAYOUT:  # cells mean something else in that version: counting begins anew
            os.close(descriptor)
            continue
        rows = {tuple(map(str, key)): int(row) for row, *key in one["keys"]}
        former = Former(Ledger(one["rows"], one["lanes"], descriptor), rows, one["pid"])
        if former.over:
            books.rows.remember(former.rows)  # also of addresses that a name has no more: they are in its sum
            former.add_to(books.ledger, books.rows.known())
        else:
            books.formers.append(former)


def _told(former: Former) -> dict[str, Any]:
    keys = [[row, *key] for key, row in former.rows.items()]
    ledger = former.ledger
    return {"layout": LAYOUT, "rows": ledger.rows, "lanes": ledger.lanes, "pid": former.pid, "keys": keys}


def _take_name(books: Books, name: tuple[str, str], found: list[Any]) -> None:
    try:
        if name in books.rows:
            books.resolve(name, found)
    except OutOfRowsError:
        return  # they are looked up again, and that is told


def _health(books: Books, key: tuple[str, ...]) -> list[int]:
    return [books.ledger.read(CONTROL, books.rows[key], cell) for cell in _HEALTH]
