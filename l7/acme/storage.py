"""Where certificates of ACME are kept: which file holds what, and how one is written.

Below ``storage`` is a directory for each authority. It holds ``HOST.pem``, a certificate with its chain and its key,
``HOST.json`` (`l7.acme.records.HostRecord`), the account, and a file that is locked while an order is under way.
A file is replaced as a whole, so that whoever reads it finds the old one or the new one, and is on the disk before
that.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from urllib.parse import urlsplit

from l7.config.sections.tls import Acme

ACCOUNT = "_account.json"
LOCK = "_lock"
"""Names that no host has."""
LONGEST = 40 * 1024
"""Bytes of a file: a chain of many certificates, and more."""

_NAME = re.compile(rf"{ACCOUNT}|{LOCK}|[a-z0-9][a-z0-9.-]*\.(pem|json)")
_MODE = 0o600
_FOLDER_MODE = 0o700


def certificate_name(host: str) -> str:
    """The file of a host's certificate."""
    return f"{host}.pem"


def record_name(host: str) -> str:
    """The file of what was tried for a host."""
    return f"{host}.json"


def folder_of(acme: Acme) -> str:
    """The full path of the directory of the authority: one account, and other certificates than those of another."""
    url = urlsplit(acme.directory)
    words = re.sub(r"[^a-z0-9.]+", "-", f"{url.netloc}{url.path}".lower()).strip("-.")
    return os.path.join(os.path.abspath(acme.storage), words[:200] or "authority")


def path_of(acme: Acme, name: str) -> str:
    """The full path of a file; raises ``ValueError`` for what is none of the storage."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no file of the storage")
    return os.path.join(folder_of(acme), name)


def make_folders(path: str) -> None:
    """Make the directory that is to hold ``path``, and the one above it; raises ``OSError``."""
    folder = os.path.dirname(path)
    os.makedirs(os.path.dirname(folder), _FOLDER_MODE, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, _FOLDER_MODE)


def give(acme: Acme, uid: int, gid: int) -> None:
    """Make the directories, and make an account the owner of them and of the files there; raises ``OSError``."""
    folder = folder_of(acme)
    make_folders(path_of(acme, LOCK))
    for path in (os.path.dirname(folder), folder, *(os.path.join(folder, name) for name in os.listdir(folder))):
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1):
            os.chown(path, uid, gid, follow_symlinks=False)


def write_file(path: str, content: bytes) -> None:
    """Replace a file, so that it is on the disk; raises ``OSError``. Its directory is made where there is none."""
    make_folders(path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        write_in(folder, os.path.basename(path), content)
    finally:
        os.close(folder)


def write_in(folder: int, name: str, content: bytes) -> None:
    """Replace a file of an open directory; raises ``OSError``."""
    new = f".{name}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new, dir_fd=folder)  # of one who was stopped in the middle
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(new, flags, _MODE, dir_fd=folder), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new, dir_fd=folder)
        raise
    os.fsync(folder)


def open_lock(path: str, folder: int | None = None) -> int:
    """Open the file that is locked, or make it; raises ``OSError``."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE, dir_fd=folder)
