"""The bench's own code: what it reads, reckons, writes and starts. Its figures are made by ``make bench``."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from array import array
from pathlib import Path

import pytest
import yaml

from l7.config.schema import Config
from tests.bench import __main__ as program
from tests.bench import (
    campaign,
    certificate,
    figures,
    footprint,
    handshakes,
    idle,
    machine,
    meter,
    pacer,
    packages,
    pauses,
    processes,
    proxies,
    report,
    rules,
    sink,
    summary,
    wrk,
)
from tests.bench.figures import Sample
from tests.bench.jobs import JOBS, Contestant
from tests.bench.requests import HOST, Request, answered, host_names
from tests.bench.upstream import nginx_config
from tests.bench.wrk import Load

CHECKOUT = Path(__file__).resolve().parent.parent
ANSWER = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 3\r\n\r\nabc"


# ------------------------------------------------------------------------------------------- what the kernel says


@pytest.mark.parametrize("name", ["nginx", "l7: worker 1 (generation 2)", "a) R 9 (b"])
def test_stat_is_read_whatever_the_name(name: str) -> None:
    text = f"4711 ({name}) S 17 4711 4711 0 -1 4194560 100 0 0 0 123 456 0 0 20 0 1 0 5 6 7"
    assert meter.parse_stat(text) == (17, 123, 456)


def test_busy_time_of_some_cores() -> None:
    text = (
        "cpu  9 9 9 9 9 9 9 9\ncpu0 10 1 20 500 30 2 3 4 0 0\ncpu1 1 0 0 7 0 0 0 0 0 0\ncpu10 5 0 0 0 0 0 0 0\nintr 5"
    )
    assert meter.parse_busy(text, [0]) == pytest.approx(40 * meter.TICK)
    assert meter.parse_busy(text, [0, 1]) == pytest.approx(41 * meter.TICK)


def test_memory_is_read() -> None:
    text = "5500-7ffd ---p 00000000 00:00 0   [rollup]\nRss:   2048 kB\nPss:   1024 kB\nPss_Dirty:  8 kB\n"
    assert meter.parse_rollup(text) == meter.Memory(2048 * 1024, 1024 * 1024)


def test_stopwatch_counts_a_child_of_a_child(tmp_path: Path) -> None:
    work = (
        "import time, sys\nprint(flush=True)\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    )
    work += "print(flush=True)\nsys.stdin.read()"
    outer = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {work!r}])"
    with subprocess.Popen([sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        watch = meter.Stopwatch(child.pid, [0])
        child.stdout.readline()
        spent = watch.read()
        assert len(watch.pids) == 2
        assert meter.memory(child.pid).pss > 1e6
        child.communicate()
    assert 0.2 < spent.cpu < 1
    assert spent.cpu == pytest.approx(spent.user + spent.system)


# --------------------------------------------------------------------------------------------------- arithmetic


def sample(contestant: str, number: int, value: float, void: str = "") -> Sample:
    return Sample("small-get", contestant, number, {"cpu_us": value, "foreign": 0.01}, void)


def test_ratios_are_taken_within_a_round() -> None:
    samples = [sample("nginx", 1, 10), sample("l7", 1, 11), sample("nginx", 2, 20), sample("l7", 2, 30)]
    samples += [sample("nginx", 3, 1, void="2 read errors"), sample("l7", 3, 100), sample("l7", 4, 7)]
    assert figures.ratios(samples, "small-get", "l7", "nginx", "cpu_us") == figures.Spread(1.3, 1.1, 1.5, 2)
    assert figures.ratios(samples, "small-get", "l7", "haproxy", "cpu_us") is None
    assert figures.spread([]) is None


def test_schedule_is_a_poisson_process_and_always_the_same() -> None:
    due = pacer.schedule(1000, 10)
    assert due == pacer.schedule(1000, 10) == sorted(due)
    assert 9_500 < len(due) < 10_500
    gaps = sorted(b - a for a, b in itertools.pairwise(due))
    assert gaps[len(gaps) // 2] == pytest.approx(0.693e-3, rel=0.1)


def test_percentiles() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (pacer.percentile(values, 0.5), pacer.percentile(values, 0.99)) == (51, 100)
    assert pacer.percentile([], 0.5) == 0


def test_answers_are_read_whole() -> None:
    assert [answered(ANSWER[:size]) for size in (0, 20, len(ANSWER) - 1, len(ANSWER))] == [
        False,
        False,
        False,
        True,
    ]
    for wrong in (ANSWER + b"d", ANSWER.replace(b"200", b"502"), b"HTTP/1.1 200 OK\r\n\r\n"):
        with pytest.raises(ValueError):
            answered(wrong)


# ----------------------------------------------------------------------------------------------- load and servers


def test_requests_are_realistic_and_unique() -> None:
    request = Request("/post/", 10, "POST", body=5, login=True, close=True)
    first, second = request.bytes(1), request.bytes(2)
    assert first.split(b" ", 2)[1] != second.split(b" ", 2)[1]
    head, body = first.split(b"\r\n\r\n")
    assert body == b"xxxxx"
    assert b"\r\nContent-Length: 5" in head
    assert b"\r\nAuthorization: Basic " in head
    assert b"\r\nConnection: close" in head
    assert Request("/", 0).bytes(0).count(b"\r\n") >= 12


def test_hosts_asked_for_are_spread_over_all() -> None:
    asked = Request("/", 0, hosts=10_000).asked_hosts()
    assert len(set(asked)) == 64
    assert set(asked) <= set(host_names(10_000))
    assert asked[-1] not in host_names(9_000)
    assert Request("/", 0).asked_hosts() == ["bench.test"]


@pytest.mark.skipif(shutil.which("luajit") is None and shutil.which("lua") is None, reason="no Lua to read it with")
def test_script_is_lua(tmp_path: Path) -> None:
    lua = shutil.which("luajit") or shutil.which("lua")
    path = tmp_path / "load.lua"
    request = Request("/post/", 0, "POST", 4096)
    path.write_text(wrk.script(request, tmp_path / "out") + "\nio.write(request())")
    done = subprocess.run([str(lua), str(path)], capture_output=True, timeout=20, check=True)
    assert done.stdout == request.bytes(1)


def test_script_makes_large_bodies_once(tmp_path: Path) -> None:
    assert "if not true then" in wrk.script(JOBS["1m-up"].request, tmp_path / "out")
    assert "if not true then" not in wrk.script(JOBS["small-get"].request, tmp_path / 'a "b"')


def load(**changed: int) -> Load:
    values = {"requests": 10, "bytes": 2000, "duration": 1_000_000, "p50": 500, "p99": 900}
    values |= {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}
    return wrk.parse(json.dumps({**values, **changed}))


def test_load_is_read_and_judged() -> None:
    request = Request("/", 100)
    assert (load().p50, load().duration, load().fault(request)) == (0.0005, 1.0, "")
    assert load(status=3).fault(request) == "3 status errors"
    assert load(bytes=900).fault(request) == "answers are too short"
    assert load(requests=0, bytes=0).fault(request) == "no request was answered"


def test_sink_answers_when_it_has_read_all(tmp_path: Path) -> None:
    port = processes.free_port()
    request = Request("/", sink.ANSWER_SIZE, "POST", body=100_000)
    command = [sys.executable, "-m", "tests.bench.sink", str(port)]
    cores = sorted(os.sched_getaffinity(0))
    with (
        processes.running(command, cores, tmp_path / "log", port=port),
        idle.held(port, 60, Request("/", sink.ANSWER_SIZE)) as sockets,
    ):
        assert idle.closed(sockets) == 0
        sockets[0].sendall(request.bytes(1)[:-1])
        sockets[0].settimeout(0.05)
        with pytest.raises(TimeoutError):
            sockets[0].recv(100)
        sockets[0].settimeout(10)
        sockets[0].sendall(b"x" + request.bytes(2) + request.bytes(3))
        data = b""
        while data.count(b"HTTP/1.1 200 OK") < 3:
            data += sockets[0].recv(65536)


PACED = JOBS["load-30"].request


def waiting(directory: Path, proxy: int, due: list[float]):
    _need("cc")
    program, cores = pacer.built(directory), sorted(os.sched_getaffinity(0))
    return pacer.waiting(program, proxy, 2, PACED.start, PACED.rest(HOST), due, directory, cores)


def test_pacer_counts_from_when_a_request_was_due(tmp_path: Path) -> None:
    port = processes.free_port()
    command = [sys.executable, "-m", "tests.bench.sink", str(port)]
    due = [pacer.SETTLE + 0.001 * number for number in range(1, 101)]
    with (
        processes.running(command, sorted(os.sched_getaffinity(0)), tmp_path / "log", port=port) as child,
        waiting(tmp_path, port, due) as load,
    ):
        os.kill(child.pid, signal.SIGSTOP)  # it answers only when all are due
        waker = subprocess.Popen(["sh", "-c", f"sleep 1; kill -CONT {child.pid}"])
        outcome = load.run()
        waker.wait(10)
    assert (outcome.answered, outcome.unanswered, outcome.errors) == (100, 0, 0)
    assert pacer.percentile(outcome.latencies, 0.5) > 0.3, "those that waited for a connection have waited, too"


def test_pacer_is_the_server_behind_the_proxy_too(tmp_path: Path) -> None:
    head = PACED.bytes(1)
    with waiting(tmp_path, processes.free_port(), []) as load, idle.held(load.port, 3, PACED) as (sock, *_):
        for place in (1, len(head) - 3, len(head) - 1):  # in pieces, also in the middle of what ends a head
            sock.sendall(head[:place])
            sock.sendall(head[place:])
        data = b""
        while len(data) < 3 * len(data[: data.find(b"]}") + 2]) or not data:
            data += sock.recv(65536)
    assert answered(data[: len(data) // 3])
    assert data == data[: len(data) // 3] * 3


def test_pacer_tells_wrong_answers_and_what_nobody_answered(tmp_path: Path) -> None:
    due = [pacer.SETTLE + 0.001 * number for number in range(3)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer_wrongly, args=[server])
        thread.start()
        with waiting(tmp_path, server.getsockname()[1], due) as load:
            outcome = load.run()
        thread.join()
    assert (outcome.errors, outcome.unanswered, outcome.answered) == (2, 1, 0)
    assert len(outcome.latencies) == 3
    assert outcome.latencies[0] >= pacer.PATIENCE, "nothing that failed may look quick"


def _answer_wrongly(server: socket.socket) -> None:
    both = [server.accept()[0], server.accept()[0]]
    for sock in both:
        with sock:
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


def test_requests_that_failed_took_until_the_end() -> None:
    values = array("d", [0.5, pacer.UNANSWERED, 0.1, pacer.FAILED, *[0.001] * 4, 1])
    outcome = pacer.read(values.tobytes(), [0.1, 1.0, 1.5, 2.0])
    assert outcome.latencies == [0.1, pacer.PATIENCE, 1.0 + pacer.PATIENCE]
    assert (outcome.asked, outcome.unanswered, outcome.errors, outcome.answered) == (4, 1, 2, 1)


def test_handshakes_are_full_or_resumed(tmp_path: Path) -> None:
    pem, request = _certificate(tmp_path), JOBS["tls-handshake"].request
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve_tls, args=[server, context])
        thread.start()
        port, rest = server.getsockname()[1], request.rest(HOST)
        full, resumed = [
            handshakes.load(port, 2, 0.3, str(pem), request.start, rest, resumes=resumes) for resumes in (False, True)
        ]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert (full["fault"], resumed["fault"]) == ("", "")
    assert (full["resumed"], full["first"]) == (0, 0)
    assert resumed["resumed"] == resumed["requests"] - resumed["first"] > 0


def _serve_tls(server: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            sock, _ = server.accept()
        except OSError:
            return
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(65536)
            tls.sendall(ANSWER)


def _certificate(directory: Path) -> Path:
    _need("openssl")
    return certificate.make(directory)


# ------------------------------------------------------------------------------------------------- configurations


def test_l7_configuration_is_valid(tmp_path: Path) -> None:
    proxies.write_l7(proxies.Site(8081, 8080, hosts=100, login=True, workers=2), tmp_path)
    config = Config.model_validate(yaml.safe_load((tmp_path / "l7.yml").read_text()))
    assert (config.port, config.workers, len(config.backends), len(config.users)) == (8080, 2, 100, 1)


def test_l7_configuration_with_a_certificate_is_valid(tmp_path: Path) -> None:
    pem = _certificate(tmp_path)
    proxies.write_l7(proxies.Site(8081, 8080, certificate=pem), tmp_path)
    config = Config.model_validate(yaml.safe_load((tmp_path / "l7.yml").read_text()))
    assert [one.cert for one in config.tls.certificates] == [str(pem)]


def test_l7_configuration_with_rules_is_valid(tmp_path: Path) -> None:
    proxies.write_l7(proxies.Site(8081, 8080, rules=10), tmp_path)
    text = (tmp_path / "l7.yml").read_text()
    Config.model_validate(yaml.safe_load(text))
    assert len(rules.RULES) == 10
    assert text.count("X-") == 5, "what is set in one section stands side by side"


def site(directory: Path, login: bool, tls: bool) -> proxies.Site:
    pem = _certificate(directory) if tls else None
    return proxies.Site(8081, processes.free_port(), login=login, certificate=pem, rules=10 * tls)


variants = pytest.mark.parametrize(("login", "tls"), [(False, False), (True, False), (False, True)])


@variants
def test_nginx_configuration_is_valid(tmp_path: Path, login: bool, tls: bool) -> None:
    _need("nginx")
    proxies.write_nginx(site(tmp_path, login, tls), tmp_path)
    (tmp_path / "upstream.conf").write_text(nginx_config(tmp_path, processes.free_port(), 1))
    for name in ("nginx.conf", "upstream.conf"):
        done = subprocess.run(["nginx", "-t", "-c", tmp_path / name], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr


@variants
def test_haproxy_configuration_is_valid(tmp_path: Path, login: bool, tls: bool) -> None:
    _need("haproxy")
    proxies.write_haproxy(site(tmp_path, login, tls), tmp_path)
    command = ["haproxy", "-c", "-f", tmp_path / "haproxy.cfg"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


@variants
def test_caddy_configuration_is_valid(tmp_path: Path, login: bool, tls: bool) -> None:
    _need("caddy")
    proxies.write_caddy(site(tmp_path, login, tls), tmp_path)
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", tmp_path / "Caddyfile"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment)
    assert done.returncode == 0, done.stderr


def _need(command: str) -> None:
    if not shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
        pytest.skip(f"{command} is not installed")


# ------------------------------------------------------------------------------------------------- the whole of it


def test_everybody_begins_once() -> None:
    contestants = JOBS["small-get"].contestants(["nginx", "haproxy", "l7"])
    firsts = [campaign.in_turn(contestants, number)[0].proxy for number in (1, 2, 3, 4)]
    assert firsts == ["nginx", "haproxy", "l7", "nginx"]
    labels = [each.label for each in JOBS["hosts"].contestants(["nginx", "l7", "l7-pure"])]
    assert labels == ["l7", "l7 10000 hosts"]
    assert JOBS["workers"].contestants(["nginx"]) == []
    labels = [each.label for each in JOBS["recorder"].contestants(["nginx", "l7", "l7-pure"])]
    assert labels == ["l7 without its recorder", "l7"]
    assert JOBS["recorder"].contestants(["nginx"]) == []


def test_who_tells_nothing_new_is_left_out() -> None:
    everybody = list(proxies.PROXIES)
    assert [each.proxy for each in JOBS["small-get"].contestants(everybody)] == everybody
    assert [each.proxy for each in JOBS["post"].contestants(everybody)] == ["nginx", "haproxy", "caddy", "l7"]
    assert [each.proxy for each in JOBS["load-30"].contestants(everybody)] == ["nginx", "haproxy", "l7"]
    assert [each.proxy for each in JOBS["post"].contestants(["nginx", "l7-pure"])] == ["nginx", "l7-pure"]
    assert JOBS["pauses"].contestants(["nginx", "l7-pure"]) == []
    labels = [each.label for each in JOBS["memory"].contestants(everybody)]
    assert labels == ["nginx", "haproxy", "caddy", "l7", "l7 2 workers", "l7 10000 hosts 2 workers"]


def test_cores_are_divided() -> None:
    assert machine.divide([3, 1]) == machine.Cores([1], [3], [1, 3])
    assert not machine.divide([0, 1]).apart
    assert machine.divide([0, 1, 2, 3]) == machine.Cores([0], [2, 3], [0, 1])
    with pytest.raises(processes.BenchError):
        machine.divide([0])


def test_a_whole_run_is_no_longer_than_it_says() -> None:
    everybody = list(proxies.PROXIES)
    assert campaign.estimate(list(JOBS.values()), everybody, program.ROUNDS, program.SECONDS) < 45 * 60
    assert campaign.estimate(list(JOBS.values()), everybody, 3, 2) < 17 * 60
    assert campaign.estimate(list(JOBS.values()), everybody, 1, 1) < 5 * 60


def test_compiled_l7_is_measured_where_it_is() -> None:
    assert program.choose(None, compiled=True, caddy=True) == (list(proxies.PROXIES), [])
    chosen, notes = program.choose(None, compiled=False, caddy=False)
    assert chosen == ["nginx", "haproxy", "l7-pure"]
    assert len(notes) == 2
    assert program.choose(["nginx"], compiled=False, caddy=False) == (["nginx"], [])
    for absent in ("l7", "caddy"):
        with pytest.raises(processes.BenchError):
            program.choose([absent], compiled=False, caddy=False)


def test_limits_of_the_machine_are_told() -> None:
    jobs = [JOBS["idle"], JOBS["workers"]]
    done, notes = program.feasible(jobs, machine.divide([0, 1]), files=1024)
    assert ([job.name for job in done], len(notes)) == ([], 2)
    assert program.feasible(jobs, machine.divide([0, 1]), files=20_000)[0] == jobs[:1]
    assert program.feasible(jobs, machine.divide([0, 1, 2, 3]), files=20_000) == (jobs, [])


def results() -> report.Results:
    samples = [sample("nginx", 1, 10), sample("l7", 1, 11), sample("l7", 2, 12, void="2 read\nerrors")]
    samples.append(Sample("idle", "l7", 1, {"kb_each": 1.5, "foreign": 0.5}))
    jobs = [JOBS["small-get"], JOBS["idle"]]
    return report.Results(jobs, ["nginx", "l7"], samples, {"processor": "a"}, "2026-01-01", "1 round.", ["a note"])


def test_report_says_what_was_measured() -> None:
    text = report.text(results())
    assert "void: small-get, l7, round 2: 2 read errors" in text
    assert "other processes took" in text
    assert any(row.split()[-2:] == ["0.95", "1.05"] and " 1.10 " in row for row in text.splitlines())
    assert len(json.loads(report.as_json(results()))["samples"]) == 4
    assert "CPU µs/request 11.0" in report.line(results().samples[1], 1)
    assert "VOID" in report.line(results().samples[2], 1)


def test_report_is_restructured_text() -> None:
    nodes = pytest.importorskip("docutils.core", reason="docutils comes with the documentation's tools")
    nodes.publish_doctree(report.rst(results()), settings_overrides={"halt_level": 2, "report_level": 2})


def test_what_costs_too_much_is_told() -> None:
    found = results()
    assert report.shortfalls(found) == ["small GET, connections kept: 1.10 of nginx, at most 1.05"]
    found.samples.append(Sample("idle", "l7", 2, {"kb_each": 9.0}))
    assert report.shortfalls(found)[1] == "5,000 idle connections: 5.25 (1.50 to 9.00) KB/connection, at most 4.00"
    for text in (report.rst(found), report.text(found)):
        assert all(one in text for one in report.shortfalls(found))
    found.samples[1:] = [sample("l7", 1, 10)]
    assert f"{report.MISSES}\nnone\n" in report.text(found)


def test_pauses_are_summed_up() -> None:
    lasted = {0.5: 9.0, 1.0: 0.001, 2.0: 0.003, 4.9: 0.002}
    events = [pauses.Event("sweep", began, seconds) for began, seconds in lasted.items()]
    first = pauses.samples_of(events, 1.0, 5.0, "pauses", "l7", 1)
    assert [one.contestant for one in first] == ["l7 sweep"]
    wanted = {"each_us": 2000, "longest_us": 3000, "per_second": 0.75, "share_percent": 0.15}
    assert first[0].figures == pytest.approx(wanted)
    second = pauses.samples_of(events[1:2], 1.0, 2.0, "pauses", "l7", 2)
    found = report.Results([JOBS["pauses"]], ["l7"], [*first, *second], {}, "", "", [])
    (row,) = report.job_table(found, JOBS["pauses"]).rows
    assert row == [pauses.TITLES["sweep"], "1,500", "3,000", "0.88", "0.12"]
    assert report.overview(found).rows == []


def test_pauses_are_those_of_a_real_worker(tmp_path: Path) -> None:
    port, cores, notes = processes.free_port(), sorted(os.sched_getaffinity(0)), tmp_path / "notes"
    command = [sys.executable, "-m", "tests.bench.sink", str(port)]
    l7 = proxies.PROXIES["l7"]
    observed = dataclasses.replace(l7, command=lambda where: pauses.command(notes, l7.command(where)))
    site = proxies.Site(port, processes.free_port())
    request = Request("/", sink.ANSWER_SIZE)
    log = tmp_path / "access.log"
    with processes.running(command, cores, tmp_path / "log", port=port):
        with proxies.started(observed, site, tmp_path, cores), idle.held(site.port, 20, request):
            begun = time.monotonic()
            processes.wait_for(lambda: log.read_bytes().count(b"\n") >= 20, "the lines of the log")
            processes.wait_for(lambda: time.monotonic() > begun + 2 * pauses.COLLECT_ALL, "a collection")
        ended = time.monotonic()
    found = {one.contestant: one.figures for one in pauses.samples_of(pauses.read(notes), 0, ended, "", "l7", 1)}
    assert found.keys() >= {"l7 beat", "l7 tick", "l7 board", "l7 sweep", "l7 gc-2", "l7 log"}
    assert "l7 other" not in found, "whatever a worker does at intervals has its title"
    assert all(0 < figures["each_us"] <= figures["longest_us"] for figures in found.values())


def test_memory_start_and_reload_are_measured(tmp_path: Path) -> None:
    site = proxies.Site(processes.free_port(), processes.free_port())
    with proxies.started(proxies.PROXIES["l7"], site, tmp_path, sorted(os.sched_getaffinity(0))) as pid:
        found = footprint.measure(pid, 0.5, tmp_path, reloads=True)
    assert found["start_s"] == 0.5
    assert found["pss_mib"] > found["worker_mib"] + found["master_mib"] > 2 * min(found["worker_mib"], 5.0)
    assert found["reload_cpu_s"] > 0.1, "of what reads the configuration, which ends, too"
    assert found["reload_s"] > 0.5, "it waits for a canary"


def test_reload_that_is_refused_is_told(tmp_path: Path) -> None:
    (tmp_path / "l7.yml").write_text("limits: {}\n")
    with pytest.raises(processes.BenchError, match="reload failed"):
        footprint.reload(os.getpid(), tmp_path)


def test_readme_says_what_the_documentation_says() -> None:
    readme, measured = CHECKOUT / "README.rst", CHECKOUT / "docs" / "performance-results.inc"
    if not readme.exists():
        pytest.skip("not a checkout")
    assert summary.paragraph(measured.read_text()) in readme.read_text(), "tests.bench.summary writes it anew"


def test_summary_has_the_best_and_the_worst(tmp_path: Path) -> None:
    samples = [sample("nginx", 1, 10), sample("l7", 1, 11)]
    samples += [Sample(job, "nginx", 1, {"cpu_us": 10}) for job in ("post", "10k", "login", "tls-get")]
    ours = {"post": 12, "10k": 7, "login": 1, "tls-get": 10}
    samples += [Sample(job, "l7", 1, {"cpu_us": value}) for job, value in ours.items()]
    jobs = [JOBS[name] for name in ("small-get", *ours)]
    text = report.rst(report.Results(jobs, ["nginx", "l7"], samples, {}, "2026-01-01", "1 round.", []))
    said = "a small request 1.10, over TLS 1.00. At best it is 0.70 (GET of 10 KB), at worst 1.20 (POST of 4 KB)."
    assert said in " ".join(summary.paragraph(text).split())
    (tmp_path / "results").write_text(text)
    (tmp_path / "readme").write_text("- **Before.** A\n- **It is cheap.** Old\n  words.\n- **After.** B\n")
    summary.main(tmp_path / "results", tmp_path / "readme")
    assert (tmp_path / "readme").read_text() == f"- **Before.** A\n{summary.paragraph(text)}- **After.** B\n"
    for wrong in ("nothing", report.rst(results()).replace("connections kept", "")):
        with pytest.raises(processes.BenchError):
            summary.paragraph(wrong)


def test_titles_of_contestants() -> None:
    assert report.title_of(Contestant("l7", hosts=10_000)) == "l7, 10,000 hosts"
    assert report.title_of(Contestant("l7-pure", workers=2)) == "l7, pure Python, 2 workers"


def test_options() -> None:
    parsed = program.options(["--quick", "--jobs", "post,idle", "--json", "x.json"])
    assert (parsed.rounds, parsed.seconds, parsed.jobs, parsed.proxies) == (1, 1, ["post", "idle"], None)
    assert program.options([]).rounds == program.ROUNDS
    assert program.options(["--seconds", "0.5"]).seconds == 0.5
    for words in (["--jobs", "nothing"], ["--seconds", "0.1"], ["--rounds", "-1"]):
        with pytest.raises(SystemExit):
            program.options(words)


# ------------------------------------------------------------------------------------------------- leaving no trace


def test_children_are_gone_with_their_children(tmp_path: Path) -> None:
    code = "import signal, subprocess, sys\nsignal.signal(2, signal.SIG_IGN)\nsubprocess.run(['sleep', '60'])"
    cores = sorted(os.sched_getaffinity(0))
    with processes.running([sys.executable, "-c", code], cores, tmp_path / "log") as child:
        processes.wait_for(lambda: len(meter.tree(child.pid)) == 2, "the child's child")
        grandchild = meter.tree(child.pid)[1]
        begun = time.monotonic()
    assert time.monotonic() - begun < 30, "the child of the child would sleep for a minute"
    processes.wait_for(lambda: not _alive(grandchild), "its end")


def _alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_child_that_does_not_start_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such setting')"]
    start = processes.running(command, sorted(os.sched_getaffinity(0)), tmp_path / "log", port=processes.free_port())
    with pytest.raises(processes.BenchError, match="no such setting"), start:
        pass


def test_missing_programs_are_named_where_they_cannot_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "PACKAGES", {"no-such-program": "no-such-package"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    with pytest.raises(processes.BenchError, match="no-such-package"):
        packages.require()
