"""Accounts and ports that only root has, and what skips a test where they are not to be had."""

from __future__ import annotations

import os
import pwd
import random
import socket

import pytest

from l7.master.resources.privileges import first_unprivileged_port

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
privileged_ports = pytest.mark.skipif(first_unprivileged_port() < 200, reason="every port is for everybody here")
NOBODY = pwd.getpwnam("nobody")


def free_privileged_port() -> tuple[str, int]:
    """An address of this machine's own network with a port that only root may bind."""
    while True:
        host, port = f"127.{random.randrange(1, 255)}.{random.randrange(255)}.7", random.randrange(100, 1000)
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) != 0:
                return host, port
