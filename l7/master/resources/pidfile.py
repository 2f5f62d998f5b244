"""The pid file: one line with the master's process id, and a lock for as long as the master lives.

The lock is what two masters that start at the same time cannot both have; it ends with the process, whatever ends
it, and children do not inherit it. The number in a file without a lock says nothing: after a crash, a reboot or in the
next container another program has it by now.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from l7.errors import StartError
from l7.ipc.processes import runs
from l7.master.resources.privileges import Identity


class PidFile:
    """A pid file that is ours. The descriptor stays open: after the drop it may be all that we can still write to."""

    def __init__(self, path: str, predecessor: int = 0) -> None:
        self.path = path
        self._predecessor = predecessor
        self.descriptor = -1
        self.stranger = 0
        """The process that the file named and that lives, although no l7 has the file; 0 for none."""

    @classmethod
    def take(cls, path: str, predecessor: int = 0) -> PidFile:
        """Make, lock and write the file.

        :param predecessor: a process that lives and leaves the file to us.
        :raises StartError: it is a living l7's, or cannot be written.
        """
        one = cls(os.path.abspath(path), predecessor)  # it is removed by the name it had when it was made
        while True:
            one.descriptor = one._open()
            try:
                if one._take():
                    return one
            except BaseException:
                one.release()
                raise
            one.release()

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            try:
                # Without O_CREAT first: with it, not even root may open another's file in /tmp (fs.protected_regular).
                return os.open(self.path, flags)
            except FileNotFoundError:
                return os.open(self.path, flags | os.O_CREAT, 0o644)
        except OSError as error:
            if os.path.islink(self.path):
                raise StartError(f"pid-file: {self.path} is a symbolic link; name the file itself") from error
            raise StartError(f"pid-file: {self.path}: {(error.strerror or str(error)).lower()}") from error

    def _take(self) -> bool:
        """Lock and write; False when the file was removed meanwhile, and another has to be made."""
        if not stat.S_ISREG(os.fstat(self.descriptor).st_mode):
            raise StartError(f"pid-file: {self.path} is not a regular file")
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise StartError(f"pid-file: {self.path} cannot be locked: {error.strerror}; choose another") from error
            raise StartError(f"pid-file: {self.path}: l7 is already running{self._named()}") from None
        if not self._is_current():
            return False
        pid = self._content()
        if pid and pid not in (os.getpid(), self._predecessor) and runs(pid):
            self.stranger = pid
        self._write(f"{os.getpid()}\n")
        return True

    @property
    def is_gone(self) -> bool:
        """Whether the file was removed, or replaced by another one."""
        try:
            return not os.path.samestat(os.fstat(self.descriptor), os.lstat(self.path))
        except FileNotFoundError:
            return True
        except OSError:  # it cannot be looked at
            return False

    def hand_over(self, identity: Identity) -> None:
        """Give the file to the account that l7 is about to become."""
        os.fchown(self.descriptor, identity.uid, identity.gid)

    def remove(self) -> None:
        """Remove the file; where the directory does not let us, leave it empty. Never raises."""
        if self.descriptor < 0:
            return
        try:
            if self._is_current():
                os.unlink(self.path)
        except OSError:
            self._try_to_empty()
        self.release()

    def unlock(self) -> None:
        """Let a successor take the file; until it has, the file names us."""
        self.release()

    def leave(self) -> None:
        """Remove the file where no successor has taken it, because it keeps another one. Never raises."""
        try:
            with open(self.path, encoding="utf-8") as file:
                ours = file.read(32).strip() == str(os.getpid())
            if ours:
                os.unlink(self.path)
        except (OSError, ValueError):
            return  # a file that names a dead process does no harm

    def release(self) -> None:
        """Close the descriptor only: what a child does with what it inherited."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _try_to_empty(self) -> None:
        try:
            os.ftruncate(self.descriptor, 0)
        except OSError:
            return  # a file that names a dead process does no harm

    def _write(self, text: str) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)

    def _is_current(self) -> bool:
        ours = os.fstat(self.descriptor)
        try:
            there = os.lstat(self.path)
        except OSError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def _content(self) -> int:
        text = os.pread(self.descriptor, 32, 0).strip()
        return int(text) if text.isdigit() and len(text) < 10 else 0

    def _named(self) -> str:
        pid = self._content()
        return f" as process {pid}" if pid else ""
