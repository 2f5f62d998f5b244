"""The account of l7: from root, which may bind port 80, to one that may not, for good.

The master drops its own rights and not only the workers': an attacker who takes over a process of l7 has no way back.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass

from l7.errors import StartError

CAP_NET_BIND_SERVICE = 1 << 10
"""Its bit in the masks of ``/proc/self/status`` (capabilities(7))."""
NOBODY = "nobody"
"""The account that l7 becomes when root starts it without ``run-as``."""


@dataclass(frozen=True)
class Identity:
    """An account: its ids, and its ``name`` for messages and supplementary groups (empty: it has none)."""

    uid: int
    gid: int
    name: str
    groups: tuple[int, ...]

    def __str__(self) -> str:
        return self.name or str(self.uid)


def identify(run_as: str | None) -> Identity | None:
    """The account to become; None when it is not to change.

    :param run_as: ``USER[:GROUP]``, each a name or a number.
    :raises StartError: there is no such user or group, or only root could become that one.
    """
    root = os.geteuid() == 0
    if run_as is None and not root:
        return None
    user, _, group = (run_as or NOBODY).partition(":")
    wanted = _look_up(user, group)
    if root:
        return wanted
    if wanted.uid != os.geteuid() or (group and wanted.gid != os.getegid()):
        raise StartError(f"run-as: only root may become {run_as}; run as root or leave run-as out")
    return None


def account() -> str:
    """The account of this process, for messages."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _look_up(user: str, group: str) -> Identity:
    entry = _user(user)
    if entry is None and not user.isdecimal():
        raise StartError(f"run-as: no user is called {user!r}")
    if entry is None and not group:
        raise StartError(f"run-as: no user has the id {user}; name a group too, as in {user}:{user}")
    uid = entry.pw_uid if entry else int(user)
    gid = _group(group) if group else entry.pw_gid if entry else int(user)
    if uid > 2**32 - 2 or gid > 2**32 - 2:
        raise StartError(f"run-as: {user}:{gid} is out of range")
    groups = tuple(os.getgrouplist(entry.pw_name, gid)) if entry else (gid,)
    return Identity(uid, gid, entry.pw_name if entry else "", groups)


def _user(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        pass
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else None
    except (KeyError, OverflowError):
        return None


def _group(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if group.isdecimal():
            return int(group)
        raise StartError(f"run-as: no group is called {group!r}") from None


def drop(identity: Identity) -> None:
    """Become another account, with the groups of that user and with no way back.

    :raises StartError: the system did not let us, or would let us return.
    """
    try:
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    except OSError as error:
        raise StartError(f"run-as: cannot become {identity}: {error.strerror}") from error
    if os.getresuid() != (identity.uid,) * 3 or os.getresgid() != (identity.gid,) * 3:
        raise StartError(f"run-as: the ids are not those of {identity} after the change")
    if identity.uid != 0 and _can_return():
        raise StartError(f"run-as: root could be regained after becoming {identity}")


def give_file(descriptor: int, identity: Identity) -> None:
    """Make another account the owner of an open file, if that is a regular one with one name (no hard link)."""
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid != identity.uid:
        os.fchown(descriptor, identity.uid, identity.gid)


def _can_return() -> bool:
    try:
        os.setuid(0)
    except OSError:
        return False
    return True


def first_unprivileged_port() -> int:
    """The lowest port that each account may bind."""
    try:
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="utf-8") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 1024


def may_bind_any_port() -> bool:
    """Whether this process has CAP_NET_BIND_SERVICE."""
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
            held = [line.split()[1] for line in file if line.startswith("CapEff:")]
    except OSError:
        return os.geteuid() == 0
    return bool(held and int(held[0], 16) & CAP_NET_BIND_SERVICE)
