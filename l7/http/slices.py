"""Cutting bytes out of bytes, at the cost of the copy alone: the one place where compiled code goes by an address.

Compiled, what runs is the C in ``slices.pxd``. It does not clamp, so both ends have to lie within the data: a build
with ``-DL7_CHECK_BOUNDS`` aborts where one does not, as this source raises.
"""

from __future__ import annotations


def cut(data: bytes, start: int, end: int) -> bytes:
    """The bytes of ``data`` from ``start`` to before ``end``, which have to lie within, and in this order."""
    assert 0 <= start <= end <= len(data), f"slice {start}:{end} of {len(data)} bytes"
    return data[start:end]
