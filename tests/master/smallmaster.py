"""The real master with a worker that is a toy: ``python -m tests.master.smallmaster CONFIG``.

The toy accepts, answers one line with its pid and generation, beats and obeys. The names of the configured hosts are
its script, read anew at each reload: ``unbootable``, ``dies-young``, ``never-ready``, ``one-unbootable``, ``spins``
(a loop of byte code), ``deaf`` (one that no signal interrupts) and ``hesitates`` (before it stops accepting).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from l7.commands.serve import ConfigReader
from l7.ipc.channel import Channel
from l7.ipc.messages import BootFailed, Drain, Drained, Message, Ready
from l7.master.build import serve
from l7.master.supervision import step
from l7.sharedmem.scoreboard import BEAT
from l7.workers.process import WorkerSpec


def toy(boot: WorkerSpec) -> int:
    channel = Channel(boot.channel)
    script = set(boot.generation.config.backends)
    if "unbootable" in script or ("one-unbootable" in script and boot.index == 1):
        channel.send(BootFailed("it is told not to"))
        return 3
    if "raises" in script:
        raise RuntimeError("out of order")
    if "never-ready" in script:
        time.sleep(60)
    cells = boot.scoreboard.slot(boot.slot)
    cells[BEAT] = time.monotonic_ns()
    channel.send(Ready())
    if "dies-young" in script:
        return 1
    if "deaf" in script:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while "deaf" in script or "spins" in script:
        pass
    return live(boot, channel, cells)


def live(boot: WorkerSpec, channel: Channel, cells: memoryview) -> int:
    accepting = [listener.socket for listener in boot.listeners]
    while True:
        ready, _, _ = select.select([channel, *accepting], [], [], 0.2)
        cells[BEAT] = time.monotonic_ns()
        for sock in ready:
            if sock is not channel:
                try:
                    client, _ = sock.accept()
                except BlockingIOError:
                    continue
                with client:
                    client.sendall(f"{os.getpid()} {boot.generation.number}\n".encode())
        for message, _ in channel.receive() if channel in ready else ():
            hesitate(boot, channel, message)
            return 0
        if channel.closed:
            return 0


def hesitate(boot: WorkerSpec, channel: Channel, message: Message) -> None:
    """Take a while, where the script says so, and say other things, before it accepts no more."""
    if "hesitates" in boot.generation.config.backends:
        channel.send(Ready())
        time.sleep(0.5)
    os.write(2, f"toy: generation {boot.generation.number} accepts no more\n".encode())
    if isinstance(message, Drain):
        channel.send(Drained())


if __name__ == "__main__":
    step.HEARD_WITHIN = 20.0  # no slow machine is to end the wait
    sys.exit(serve(ConfigReader(sys.argv[1:], {}), run=toy))
