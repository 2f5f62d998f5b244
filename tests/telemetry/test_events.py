"""Events are one line each, and an output that nobody reads costs nothing but the line."""

from __future__ import annotations

import os
import re
import select

import pytest

from l7.telemetry.events import LONGEST, Events, named, one_line, prefixed


@pytest.fixture
def pipe():
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def test_a_line_has_time_level_pid_and_generation(pipe):
    read, write = pipe
    Events("info", descriptor=write, generation=4).warning("so\nit is \x1b[0m é")
    line = os.read(read, 4096).decode()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning "
        rf"l7\[{os.getpid()}\] generation 4: so\\x0ait is \\x1b\[0m é\n",
        line,
    )


def test_an_event_with_a_name_has_it_and_its_facts_in_place_of_the_generation(pipe):
    read, write = pipe
    events = Events("info", descriptor=write, generation=4)
    words = named("worker.exited", "worker 1 died", worker=1, reason='killed "by"\nSIGKILL')
    assert words == "worker 1 died"
    events.error(words)
    events.write("info", prefixed("so: ", words), 5)
    Events(descriptor=write).info(named("master.stopped", "stopped"))
    first, second, third = (line.partition("] ")[2] for line in os.read(read, 4096).decode().splitlines())
    facts = "worker=1 reason=\"killed 'by'\\x0aSIGKILL\""
    assert first == f"worker.exited generation=4 {facts}: worker 1 died"
    assert second == f"worker.exited generation=5 {facts}: so: worker 1 died"
    assert third == "master.stopped: stopped"


def test_what_is_below_the_level_is_not_written(pipe):
    read, write = pipe
    events = Events("warning", descriptor=write)
    events.info("no")
    events.error("yes")
    assert b"yes" in os.read(read, 4096)
    assert not select.select([read], [], [], 0)[0]


def test_a_full_pipe_loses_lines_and_says_so_later(pipe):
    read, write = pipe
    events = Events(descriptor=write)
    for number in range(100):
        events.info(f"{number} " + "x" * 10_000)
    while select.select([read], [], [], 0)[0]:
        for line in os.read(read, 1 << 20).splitlines():
            assert len(line) <= LONGEST
    events.info("again")
    assert re.search(rb"again \(\d+ events before this one were lost\)", os.read(read, 4096))


def test_a_closed_output_is_no_error():
    read, write = os.pipe()
    os.close(read)
    Events(descriptor=write).error("lost")
    os.close(write)
    Events(descriptor=write).error("lost")


def test_one_line():
    assert one_line("a\r\n\u2028\udc80b") == "a\\x0d\\x0a\\u2028\\udc80b"
