"""Chunks as l7 writes them, one at a time."""

from __future__ import annotations

from l7.http import framing


def chunk(payload: bytes) -> bytes:
    """One chunk of ``payload``; nothing for nothing, because an empty chunk is the end."""
    pieces: list[bytes] = []
    if payload:
        framing.chunk(payload, pieces)
    return b"".join(pieces)
