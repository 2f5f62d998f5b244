"""Binding: both families at once, what is kept over a reload, and errors that say what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from l7.config.schema import Config
from l7.config.sections.listeners import ListenerConfig, short_form
from l7.config.values import scalars
from l7.config.values.addresses import Address
from l7.errors import StartError
from l7.master.resources.inherited import ListenerKey
from l7.master.resources.listeners import Listener, Listeners, config_of, describe, key_of
from tests.harness.l7process import ROOT


@pytest.fixture
def listeners():
    one = Listeners()
    yield one
    one.close()


def wanted(bind: list[str], port: int) -> tuple[ListenerConfig, ...]:
    return short_form(scalars.bind(bind), port)


def port_of(listener) -> int:
    return listener.socket.getsockname()[1]


def test_star_is_both_families_on_one_socket(listeners):
    (one,) = listeners.take(wanted(["*"], 0))
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port_of(one)), 5).close()
    assert str(one) == f"[::]:{port_of(one)}"


def test_connections_that_come_before_the_workers_send_small_pieces_at_once(listeners):
    (one,) = listeners.take(wanted(["127.0.0.1"], 0))
    with socket.create_connection(("127.0.0.1", port_of(one)), 5):
        one.socket.setblocking(True)
        with one.socket.accept()[0] as early:
            assert early.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_star_without_ipv6_is_ipv4(listeners, monkeypatch):
    real = socket.socket

    def without_ipv6(family=socket.AF_INET, *rest, **options):
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *rest, **options)

    monkeypatch.setattr("l7.master.resources.listeners.socket.socket", without_ipv6)
    (one,) = listeners.take(wanted(["*"], 0))
    assert str(one).startswith("0.0.0.0:")


def test_one_ipv6_address_is_not_ipv4(listeners):
    (one,) = listeners.take(wanted(["[::1]"], 0))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(one)), 5)


def test_both_unspecified_addresses_are_two_sockets(listeners):
    four, six = listeners.take(wanted(["0.0.0.0", "::"], 0))
    assert (str(four), str(six)) == (f"0.0.0.0:{port_of(four)}", f"[::]:{port_of(six)}")
    assert six.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    assert (four.name, six.name) == ("0.0.0.0:0", "[::]:0")


def test_a_unix_socket_that_cannot_be_made_is_named(listeners, tmp_path):
    with pytest.raises(StartError, match=r"^bind: unix:/.*/none/s: no such file or directory$"):
        listeners.take(wanted([f"unix:{tmp_path}/none/s"], 80))


def test_a_reload_keeps_the_sockets_that_it_asks_for_again(listeners, tmp_path):
    path = tmp_path / "s"
    one, unix = listeners.take(wanted(["127.0.0.1", f"unix:{path}"], 0))
    again, other = listeners.take(wanted(["127.0.0.1", "127.0.0.2"], 0))
    assert again is one
    assert [gone.key for gone in listeners.keep([again, other])] == [unix.key]
    assert not path.exists()
    assert describe([other]) == str(other)


def test_when_one_cannot_be_bound_none_of_the_new_ones_is(listeners, tmp_path):
    path = tmp_path / "s"
    with pytest.raises(StartError, match="not an address of this machine"):
        listeners.take(wanted([f"unix:{path}", "192.0.2.1"], 0))
    assert not path.exists()
    assert listeners.everything() == []


def test_an_address_in_use_is_waited_for(listeners):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        waits = []

        def pause(seconds: float) -> bool:
            waits.append(seconds)
            if len(waits) == 3:
                taken.close()
            return True

        (one,) = listeners.take(wanted(["127.0.0.1"], port), pause)
        assert port_of(one) == port
        assert len(waits) == 3
        said, before = [], len(waits)
        said_after = []

        def say(words: str) -> None:
            said.append(words)
            said_after.append(len(waits) - before)

        with pytest.raises(StartError, match=f"port {port}: address 127.0.0.1 is in use"):
            Listeners(None, say).take(wanted(["127.0.0.1"], port), lambda seconds: waits.append(seconds) or True)
        assert 3 <= sum(waits[3:]) <= 5
        assert said == [f"127.0.0.1:{port} is in use; l7 waits for it, {sum(waits[3:]):g} s at most"]
        assert said_after == [0], "before it waits"


def test_a_stale_socket_is_replaced_a_live_one_and_another_file_are_not(listeners, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    (one,) = listeners.take(wanted([f"unix:{path}"], 0))
    assert path.stat().st_mode & 0o777 == 0o666
    with pytest.raises(StartError, match="in use"):
        Listeners().take(wanted([f"unix:{path}"], 0))
    plain = tmp_path / "plain"
    plain.write_text("precious")
    with pytest.raises(StartError, match="something else than a socket"):
        Listeners().take(wanted([f"unix:{plain}"], 0))
    assert plain.read_text() == "precious"
    assert one.inode


def test_a_path_that_a_successor_has_taken_is_left_to_it(tmp_path):
    path = tmp_path / "s"
    first, second = Listeners(), Listeners()
    first.take(wanted([f"unix:{path}"], 0))
    path.unlink()
    second.take(wanted([f"unix:{path}"], 0))
    first.close()
    assert path.exists()
    second.close()


def test_a_listener_is_known_by_its_address():
    assert [key_of(one) for one in wanted(["*", "unix:/a"], 80)] == [ListenerKey("*", 80), ListenerKey(path="/a")]


def test_sockets_of_systemd_take_the_place_of_bind():
    script = (
        "import os, socket\n"
        "from l7.config.sections.listeners import short_form\n"
        "from l7.master.resources.listeners import Listeners\n"
        "environ = {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1', 'LISTEN_FDNAMES': 'web'}\n"
        "one = Listeners(); one.inherit(environ)\n"
        "(got,) = one.take(short_form(('*',), 80))\n"
        "assert got.socket.fileno() == 3 and not os.get_inheritable(3) and environ == {}, environ\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        _run_with_descriptor_3(server, script)


def test_sockets_of_systemd_are_known_by_their_addresses(tmp_path):
    def handed(sock: socket.socket) -> Listener:
        return Listener(ListenerKey(handed=3), sock)

    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        port = server.getsockname()[1]
        items = ["*:1", f"127.0.0.2:{port}", "*:0", f"unix:{tmp_path}/s", {"address": f"127.0.0.1:{port}"}]
        config = Config.model_validate({"listeners": items})
        assert config_of(handed(server), config) is config.listeners[4]
        assert config_of(handed(unix), config) is config.listeners[3]
        assert config_of(handed(server), Config.model_validate({"listeners": items[:4]})).address.port == 0
        assert config_of(handed(server), Config(port=7)).address == Address("*", 7)
        with pytest.raises(StartError, match=f"127.0.0.1:{port} is no address of `listeners`; add it there"):
            config_of(handed(server), Config.model_validate({"listeners": items[:2]}))


def test_what_is_not_a_listening_socket_is_refused_by_name():
    script = (
        "import os\nfrom l7.errors import StartError\nfrom l7.master.resources.listeners import Listeners\n"
        "try:\n"
        "    Listeners().inherit({'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1', 'LISTEN_FDNAMES': 'web'})\n"
        "except StartError as error:\n"
        "    assert 'descriptor 3 (web) is not a listening stream socket' in str(error), error\n"
        "else:\n"
        "    raise AssertionError\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        _run_with_descriptor_3(other, script)


def test_variables_for_another_process_mean_nothing(listeners):
    listeners.inherit({"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert not listeners.inherited


def _run_with_descriptor_3(sock: socket.socket, script: str) -> None:
    move = f"import os\nos.dup2({sock.fileno()}, 3)\n" if sock.fileno() != 3 else ""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", move + script],
        pass_fds=[sock.fileno()], env=environ, check=True, timeout=30, cwd=Path("/"),
    )  # fmt: skip


def test_the_admin_endpoint_has_a_listener_of_its_own(listeners, tmp_path):
    assert listeners.take_admin(None) is None
    path = str(tmp_path / "admin")
    (one,) = listeners.take(wanted(["127.0.0.1"], 0))
    unix = listeners.take_admin(Address("", 0, path))
    tcp = listeners.take_admin(Address("127.0.0.2", 0))
    assert (unix.name, tcp.name) == (f"unix:{path}", "127.0.0.2:0")
    assert listeners.take_admin(Address("127.0.0.2", 0)) is tcp
    assert listeners.keep([one, tcp]) == [unix]
    assert not os.path.exists(path)
    socket.create_connection(("127.0.0.2", port_of(tcp)), 5).close()


def test_the_admin_endpoint_is_not_where_requests_are_taken(listeners):
    listeners.take(wanted(["127.0.0.1"], 0))
    with pytest.raises(StartError, match="where requests are taken"):
        listeners.take_admin(Address("127.0.0.1", 0))
