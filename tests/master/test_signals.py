"""Signals to the master: noted in order, and none of them changes anything after the end."""

from __future__ import annotations

import signal
import subprocess
import sys

from l7.master.children.signals import SignalQueue, SignalRequest
from tests.harness.l7process import ROOT


def test_signals_are_noted_in_order_and_most_of_them_once():
    signal_queue = SignalQueue()
    signal_queue.open()
    try:
        for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGHUP, signal.SIGTTIN, signal.SIGTERM):
            signal.raise_signal(number)
        assert signal_queue.wants(SignalRequest.TERMINATE)
        assert signal_queue.take() == [
            SignalRequest.RELOAD,
            SignalRequest.MORE,
            SignalRequest.MORE,
            SignalRequest.TERMINATE,
        ]
        assert signal_queue.take() == []
    finally:
        signal_queue.close()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_signal_that_comes_after_the_end_changes_nothing():
    script = (
        "import signal, sys\nfrom l7.master.children.signals import SignalQueue\n"
        "one = SignalQueue(); one.open(); one.mute(); signal.raise_signal(signal.SIGTERM)\n"
        "class Late:\n"
        "    def __del__(self, send=signal.raise_signal, number=signal.SIGTERM):\n"
        "        send(number)  # when the interpreter has taken its handlers back\n"
        "late = Late(); sys.exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=30, check=False).returncode == 7
