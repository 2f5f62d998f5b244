"""The real master with a worker that is a toy: ``python -m tests.master.smallmaster CONFIG``.

The toy accepts, answers one line with its pid and generation, beats and obeys. The names of the configured hosts are
its script, read anew at each reload: ``unbootable``, ``dies-young``, ``never-ready``, ``one-unbootable``, ``spins``
(a loop of byte code) and ``deaf`` (one that no signal interrupts).
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

from l7.config.loading import load
from l7.master.arbiter import serve
from l7.telemetry.board import BEAT
from l7.workers.process import Boot


def tell(boot: Boot, message: dict[str, object]) -> None:
    boot.channel.send(json.dumps(message).encode())


def toy(boot: Boot) -> int:
    script = set(boot.generation.config.backends)
    if "unbootable" in script or ("one-unbootable" in script and boot.index == 1):
        tell(boot, {"event": "failed", "why": "it is told not to"})
        return 3
    if "raises" in script:
        raise RuntimeError("out of order")
    if "never-ready" in script:
        time.sleep(60)
    cells = boot.board.slot(boot.slot)
    cells[BEAT] = time.monotonic_ns()
    tell(boot, {"event": "ready"})
    if "dies-young" in script:
        return 1
    if "deaf" in script:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while "deaf" in script or "spins" in script:
        pass
    return live(boot, cells)


def live(boot: Boot, cells: memoryview) -> int:
    boot.channel.setblocking(False)
    accepting = list(boot.listeners)
    while True:
        ready, _, _ = select.select([boot.channel, *accepting], [], [], 0.2)
        cells[BEAT] = time.monotonic_ns()
        for sock in ready:
            if sock is not boot.channel:
                try:
                    client, _ = sock.accept()
                except BlockingIOError:
                    continue
                with client:
                    client.sendall(f"{os.getpid()} {boot.generation.number}\n".encode())
        if boot.channel in ready:
            data = boot.channel.recv(65536)
            if not data or json.loads(data)["do"] != "dump":
                return 0
            tell(boot, {"event": "dump", "digest": "x", "age": 1, "in-flight": 0, "connections": 0})


if __name__ == "__main__":
    sys.exit(serve(lambda: load(sys.argv[1:], {}), run=toy))
