"""What a worker does to the standard library before it serves; in a process of its own, for it cannot be undone."""

from __future__ import annotations

import subprocess
import sys

PATCHED = """
import importlib.metadata
import socket
import threading

import gevent.events
import gevent.socket

def looked_for(**_):
    raise AssertionError("the installed packages were searched for plug-ins")

importlib.metadata.entry_points = looked_for
from l7.workers.runtime.patching import patch_all

before = gevent.events.notify_and_call_entry_points
patch_all()
assert socket.socket is gevent.socket.socket
assert type(threading.Lock()).__module__.startswith("gevent")
assert gevent.events.notify_and_call_entry_points is before
"""


def test_a_worker_is_patched_without_a_search_for_plugins():
    done = subprocess.run([sys.executable, "-c", PATCHED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
