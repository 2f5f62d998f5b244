"""A worker whose loop stands still cannot see that its master is gone: the watchdog beside it ends the process."""

from __future__ import annotations

import subprocess
import sys

import psutil

BUSY_CHILD = """
import os, sys
from l7.workers.runtime.watchdog import Watchdog

reading, writing = os.pipe()
pid = os.fork()
if pid:
    os.read(reading, 1)  # it watches now
    print(pid, flush=True)
    os._exit(0)
Watchdog(60, lambda text: os.write(2, text.encode())).start()
os.write(writing, b"x")
os.close(1)
while True:
    pass
"""


def test_a_busy_worker_does_not_outlive_its_master():
    with subprocess.Popen(
        [sys.executable, "-c", BUSY_CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as master:
        assert master.stdout is not None and master.stderr is not None
        orphan = int(master.stdout.readline())
        try:
            said = master.stderr.read()  # until the orphan has ended, too
        finally:
            if psutil.pid_exists(orphan) and psutil.Process(orphan).ppid() == 1:
                psutil.Process(orphan).kill()
    assert "the master is gone and the loop stands still, in <module>" in said
