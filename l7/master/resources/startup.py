"""From the loaded configuration to the first fork: what l7 opens, in the one order that works.

Sockets, pid file and log file are opened with the rights that l7 was started with; then it drops these.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field

from l7.acme import storage
from l7.config.generation import Loaded
from l7.config.schema import Config
from l7.config.sections.tls import Acme
from l7.descriptors import raise_limit
from l7.errors import StartError
from l7.master.resources.control_socket import ControlSocket, open_control
from l7.master.resources.inherited import InheritedResources
from l7.master.resources.instance_registry import InstanceKey
from l7.master.resources.listeners import Listener, Listeners, Pause, config_of
from l7.master.resources.logfile import AccessLogFile
from l7.master.resources.pidfile import PidFile
from l7.master.resources.privileged_opener import PrivilegedOpener
from l7.master.resources.privileges import NOBODY, Identity, account, drop, identify
from l7.master.resources.process_attributes import close_inherited, open_standard_descriptors, restore_umask
from l7.telemetry.shared_output import descriptor_of, make_lock


@dataclass
class MasterResources:
    """Sockets and files that the master opened before it dropped its rights, and has for its whole life."""

    opener: PrivilegedOpener
    """Opens the files that only root may open."""
    listeners: Listeners
    log: AccessLogFile
    """The access log, for workers that may not open it."""
    run_as: Identity | None
    output_lock: int = -1
    pid_file: PidFile | None = None
    control: ControlSocket | None = None
    instance_key: InstanceKey = field(default_factory=InstanceKey)
    """What commands find the control socket by."""
    pid_path: str | None = None
    """Where the pid file is to be."""
    borrowed: bool = False
    """Whether the predecessor still has all of this, so that this l7 removes nothing of it."""

    def leave_behind(self, bridge: int, generation: int, state_file: int | None = None) -> InheritedResources:
        """What the successor inherits."""
        bound, handed = self.listeners.places()
        return InheritedResources(
            parent=os.getpid(),
            bridge=bridge,
            generation=generation,
            output_lock=self.output_lock,
            listeners=bound,
            handed=handed,
            control=None if self.control is None else (self.control.path, self.control.socket.fileno()),
            log=self.log.held,
            pid_file=self.pid_path,
            opener=self.opener.expect_successor(),
            state_file=state_file,
        )

    def leave_to_successor(self) -> None:
        """Remove nothing at the end: the successor has all of it."""
        self.listeners.leave_paths()
        self.opener.release()
        if self.control is not None:
            self.control.leave()
        if self.pid_file is not None:
            self.pid_file.leave()
            self.pid_file = None

    def take_listeners(self, config: Config, pause: Pause | None = None) -> list[Listener]:
        """The listeners of a configuration (`Listeners.take`); raises `StartError` where one has no place in it."""
        bound = self.listeners.take(config.listened_on, pause)
        for one in bound:
            config_of(one, config)
        return bound

    def try_storage(self, acme: Acme) -> None:
        """Find out whether the storage of ACME can be written; raises `StartError`. It is made where there is none."""
        if self.opener.pid is None and self.run_as is not None:
            _refuse_nobody(self.run_as)
        try:
            os.close(self.opener.open_storage_lock(storage.path_of(acme, storage.LOCK)))
        except OSError as error:
            raise _unusable(acme, error, by_opener=self.opener.pid is not None) from None

    def close_listeners(self) -> None:
        """Close the listening sockets."""
        if self.borrowed:
            self.listeners.leave_paths()
        self.listeners.close()

    def close_in_child(self) -> None:
        """Close, in a child, the pid file, the control socket and that of the opener."""
        self.opener.close_inherited()
        if self.pid_file is not None:
            self.pid_file.release()
        if self.control is not None:
            self.control.socket.close()

    def leave(self) -> None:
        """Remove the paths that would name a master that is gone, and close what is open."""
        if self.borrowed:
            self.opener.release()
            if self.control is not None:
                self.control.leave()
        self.close_listeners()
        if self.control is not None:
            self.control.close()
        if self.pid_file is not None:
            self.pid_file.remove()
        self.opener.stop()


def prepare(
    loaded: Loaded,
    environ: MutableMapping[str, str],
    pause: Pause,
    warn: Callable[[str], None],
    opener: PrivilegedOpener,
    inheritance: InheritedResources | None = None,
) -> tuple[MasterResources, list[Listener]]:
    """Bind, take the pid file, make the log file, become the account of ``run-as``.

    What the predecessor hands down is taken as it is; the pid file is still the predecessor's.

    :raises StartError: one of these cannot be done; what was made before is removed.
    """
    open_standard_descriptors()
    restore_umask()
    config = loaded.config
    identity = identify(config.run_as)
    raise_limit()
    resources = MasterResources(opener, Listeners(opener, warn), AccessLogFile(opener), identity)
    resources.pid_path = config.pid_file
    try:
        if inheritance is None:
            resources.listeners.inherit(environ)
        else:
            _take_on(resources, inheritance)
        close_inherited(_named(loaded))
        if config.pid_file is not None and inheritance is None:
            _take_pid_file(resources, config.pid_file, warn)
        bound = resources.take_listeners(config, pause)
        resources.listeners.take_admin(config.admin_address, pause)
        if trouble := resources.log.open(config.access_log, identity).trouble:
            warn(trouble)
        resources.instance_key = _instance_key(loaded)
        _open_control(resources, identity, environ, warn)
        _become(resources, loaded, identity)
        if inheritance is None:
            # Made last, when this process has the account that it keeps.
            resources.output_lock = make_lock()
    except BaseException:
        resources.leave()
        raise
    return resources, bound


def _named(loaded: Loaded) -> set[int]:
    """The descriptors that the configuration names as paths, as in ``l7 -c <(...)``."""
    paths = (loaded.file, loaded.config.access_log)
    return {number for path in paths if path is not None and (number := descriptor_of(path)) is not None}


def _take_on(resources: MasterResources, inheritance: InheritedResources) -> None:
    resources.borrowed = True
    try:
        resources.listeners.adopt(inheritance.listeners, inheritance.handed)
        resources.log.held, resources.output_lock = inheritance.log, inheritance.output_lock
        if inheritance.control is not None:
            path, descriptor = inheritance.control
            resources.control = ControlSocket.of(socket.socket(fileno=descriptor), path)
    except OSError as error:
        raise StartError(f"cannot take over what was left: {error.strerror}") from error


def _take_pid_file(resources: MasterResources, path: str, warn: Callable[[str], None]) -> None:
    resources.pid_file = PidFile.take(path)
    if other := resources.pid_file.stranger:
        warn(f"pid-file: {path} was left behind: process {other} is another program by now")


def _open_control(
    resources: MasterResources, identity: Identity | None, environ: Mapping[str, str], warn: Callable[[str], None]
) -> None:
    if not _keeps_control(resources, resources.instance_key):
        resources.control = open_control(resources.instance_key, identity, environ, warn)
    if resources.control is not None:
        resources.control.register(resources.instance_key, identity, environ)


def _keeps_control(resources: MasterResources, instance_key: InstanceKey) -> bool:
    """Whether the control socket that was handed down is the one that is configured; another one is closed."""
    if resources.control is None:
        return False
    if instance_key.control != "off" and instance_key.path in (None, resources.control.path):
        return True
    resources.control.leave()
    resources.control.close()
    resources.control = None
    return False


def _instance_key(loaded: Loaded) -> InstanceKey:
    """What commands find the control socket by."""
    config = loaded.config
    # Full paths: they are asked for again when the working directory may be gone.
    control = config.control if config.control in ("auto", "off") else os.path.abspath(config.control)
    pid_file = None if config.pid_file is None else os.path.abspath(config.pid_file)
    file = None if loaded.file is None else os.path.abspath(os.path.expanduser(loaded.file))
    ports = [one.address.port for one in config.listened_on if one.address.path is None]
    return InstanceKey(control, pid_file, file, ports[0] if config.listeners and ports else config.port)


def _become(resources: MasterResources, loaded: Loaded, identity: Identity | None) -> None:
    """Become the account that l7 keeps, and find out whether it may write what it has to."""
    acme = loaded.config.tls.acme
    if loaded.config.privileged_opener == "off":
        resources.opener.do_without()
    if loaded.config.privileged_opener == "off" or identity is None or identity.uid == 0:
        resources.opener.dismiss()
    if identity is not None:
        _give_up_root(resources, loaded, identity)
    if acme is not None:
        resources.try_storage(acme)


def _give_storage(acme: Acme, identity: Identity) -> None:
    """Give the storage of ACME to the account that l7 is about to become, where no opener writes there as root."""
    _refuse_nobody(identity)
    try:
        storage.give(acme, identity.uid, identity.gid)
    except OSError as error:
        raise _unusable(acme, error) from None


def _refuse_nobody(identity: Identity) -> None:
    if identity.name == NOBODY:
        raise StartError(
            f"tls.acme: without the privileged opener private keys would belong to {NOBODY}, as whom other programs "
            "run, too; write privileged-opener: on, or an account of its own as run-as"
        )


def _unusable(acme: Acme, error: OSError, *, by_opener: bool = False) -> StartError:
    why = (error.strerror or str(error)).lower()
    who, hint = account(), "start l7 as root"
    if by_opener:
        who, hint = "the privileged opener", "see to it that nobody but root can change it and the configuration file"
    return StartError(
        f"tls.acme.storage: {acme.storage}: {who} cannot write there: {why}; name a directory of its own, or {hint}"
    )


def _give_up_root(resources: MasterResources, loaded: Loaded, identity: Identity) -> None:
    """Become ``identity``, but for the privileged opener; the log behind a link is opened as that one."""
    if loaded.config.privileged_opener == "on" and identity.uid != 0:
        resources.opener.start(loaded, identity)
    elif loaded.config.tls.acme is not None and identity.uid != 0:
        _give_storage(loaded.config.tls.acme, identity)
    try:
        resources.listeners.hand_over(identity)
        if resources.pid_file is not None:
            resources.pid_file.hand_over(identity)
    except OSError as error:
        raise StartError(f"run-as: cannot hand over to {identity}: {error.strerror}") from error
    drop(identity)
    if resources.log.held is None:
        resources.log.open(loaded.config.access_log)
