"""Fuzzing without coverage: mutations of the seeds and kept inputs of targets, for a bounded time.

    python -m tests.fuzz.mutations heads chunked --seconds 60

Unlike atheris it looks at no sources, so it fuzzes what Cython made of them: `make test-asan`. Each input is written to
a file before it is tried, so that one that ends the process is there to be tried again.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import tempfile
import time

from l7 import compiled
from tests.fuzz.running import kept

TARGETS = ("heads", "chunked", "responses", "messages", "proxy_headers", "tls_handshakes")
LONGEST = 4096
"""Bytes of an input; less is enough to reach the limits that targets set."""
TOKENS = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"0", b"f", b"\xff", b"chunked", b"Content-Length: ",
    b"Transfer-Encoding: ", b"Connection: ", b"Host: ", b"HTTP/1.1", b"HTTP/1.0", b"\r\n\r\n", b"0\r\n\r\n", b"x" * 300,
    b"7fffffffffffffff", b"9223372036854775807", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
)  # fmt: skip
"""What grammars turn on, and the largest signed integer."""


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """One to four changes: a piece removed, doubled or replaced by a token or a piece of another input."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.choice((0, 1, 1, 2, 8, 64)))
        other = chance.choice(others)
        at = chance.randint(0, len(other))
        piece = chance.choice((
            b"", data[start:end] * 2, chance.choice(TOKENS), other[at : at + chance.choice((1, 4, 32))],
            bytes([chance.randrange(256)]),
        ))  # fmt: skip
        data = data[:start] + piece + data[end:]
    return data[:LONGEST]


def fuzz(name: str, seconds: float, seed: int) -> None:
    """Fuzz one target; raises what the target raises."""
    target = importlib.import_module(f"tests.fuzz.{name}")
    inputs = [*target.seeds(), *kept(name)]
    chance = random.Random(seed)
    file, path = tempfile.mkstemp(prefix=f"l7-mutation-{name}-")
    print(f"{name}: {compiled.flavour()}, seed {seed}, the input that is tried is in {path}", flush=True)
    tried, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        data = mutated(chance.choice(inputs), inputs, chance)
        os.ftruncate(file, len(data))
        os.pwrite(file, data, 0)
        try:
            target.one(data)
        except BaseException:
            print(f"{name}: this input fails:\n{data!r}", flush=True)
            raise
        tried += 1
    os.close(file)
    os.unlink(path)
    print(f"{name}: {tried} mutations", flush=True)


def main() -> None:
    """Fuzz each of the named targets."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="+", choices=TARGETS, metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=15.0, help="for each target")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    given = parser.parse_args()
    for name in given.targets:
        fuzz(name, given.seconds, given.seed)


if __name__ == "__main__":
    main()
