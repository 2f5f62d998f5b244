"""The https of ``l7 demo``: a second port, with a certificate that is made for it and trusted by nobody else.

Listeners stand in a file only, so the demo writes one beside the certificate, in a directory that goes when it ends.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from l7.config.generation import Loaded
from l7.config.values.addresses import Address
from l7.master.resources.privileges import Identity
from l7.telemetry.events import complain
from l7.tls import self_signed

NAMES = ("localhost", "127.0.0.1", "::1")
DAYS = 30
BEYOND = 443 - 80
"""How far the port with TLS is from the other one."""
_SHORT_FORM = ("L7_PORT", "L7_BIND")


@dataclass(frozen=True)
class DemoSettings:
    """What the demo runs with: the words of its command line, its variables, and where https is."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    https_port: int | None = None
    """None without https."""
    certificate: str = ""
    """The file of the certificate."""
    directory: str = ""
    """Where that and the others are."""


@contextmanager
def with_https(settings: DemoSettings, loaded: Loaded, identity: Identity | None) -> Iterator[DemoSettings]:
    """The settings with a listener for https beside the other one, as long as this lasts.

    Whoever has listeners, certificates, a file or a unix socket of his own gets them as they are.

    :param loaded: what the settings say.
    :param identity: who is to read the key, where root is to be given up.
    """
    listeners = loaded.config.listened_on
    ports = {one.address.port for one in listeners}
    others = any(one.tls is not None or one.address.path is not None for one in listeners)
    if loaded.file is not None or others or max(ports) + BEYOND > 65535:
        yield settings
        return
    try:
        directory = tempfile.mkdtemp(prefix="l7-demo-")
    except OSError as error:
        complain(f"l7: without https: no file can be written for it: {(error.strerror or str(error)).lower()}")
        yield settings
        return
    try:
        os.chmod(directory, 0o755)  # for curl, as whoever it runs
        if identity is not None:
            os.chown(directory, identity.uid, identity.gid)  # who removes it
        port = max(ports) + BEYOND if max(ports) else _free_port()
        https = [Address(one.address.host, port) for one in listeners]
        certificate, key = self_signed.make(NAMES, DAYS)
        paths = [os.path.join(directory, name) for name in ("localhost.crt", "localhost.key", "config.yml")]
        document = {
            "listeners": [
                *(str(one.address) for one in listeners),
                *({"address": str(one), "tls": True} for one in https),
            ],
            "tls": {"certificates": [{"cert": paths[0], "key": paths[1]}]},
        }
        _write(paths[0], certificate, 0o644)
        _write(paths[1], key, 0o600, identity)
        _write(paths[2], json.dumps(document, indent=1).encode(), 0o644)
        environ = {name: value for name, value in settings.environ.items() if name not in _SHORT_FORM}
        yield DemoSettings(["-c", paths[2], *_without_short_form(settings.argv)], environ, port, paths[0], directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _free_port() -> int:
    """A port for two listeners that shall have any free one: one address cannot stand there twice."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def _write(path: str, content: bytes, mode: int, owner: Identity | None = None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(descriptor, mode)
        if owner is not None:
            os.fchown(descriptor, owner.uid, owner.gid)


def _without_short_form(argv: Sequence[str]) -> list[str]:
    """The words without those that say where to listen."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-p", "--port")
    parser.add_argument("--bind", action="append")
    return parser.parse_known_args(argv)[1]
