"""The tables of ``l7 top`` without a terminal: widths, texts of strangers, order of rows."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7.commands.top.cells import ASCII, UNICODE, age, count, fit, plot, rate, took, visible, width_of
from l7.commands.top.columns import EntryTable, Sorting
from l7.commands.top.screen import TopScreen
from l7.commands.top.tables import FAILURES, REQUESTS, ROUTES, SERVERS, WORKERS, rows_of
from l7.commands.top.terminal import on_signals

NOW = time.time()
STRANGE = "/\x1b[2J\x9b\x07\u202eevil\u200b漢字e\u0301\U0001f469\u200d\U0001f467אב"


def document(**more: Any) -> dict[str, Any]:
    routes = [
        {"route": f"host{number}.test", "requests": number, "rate": 1.0 * number, "errors": 0.0, "refused": 0.0,
         "in-flight": 0, "queued": 0, "p50": None, "p99": 0.1 / (number + 1), "servers": 1, "up": 1}
        for number in range(5)
    ]  # fmt: skip
    server = {
        "backend": "host0.test",
        "server": "10.0.0.1:80",
        "address": None,
        "state": "up",
        "why": "",
        "since": None,
    }
    worker = {"worker": 1, "pid": 7, "generation": 1, "age": 5.0, "state": "ready", "requests": 1, "lag": 0.0001}
    failure = {"request-id": "0a", "ended": NOW, "method": "GET", "host": "a", "target": STRANGE, "status": 502}
    return {
        "at": NOW, "version": "0.2.0", "pid": 1, "state": "serving", "routes": routes, "workers": [worker],
        "servers": [server, {**server, "server": "10.0.0.2:80", "state": "down", "why": "503", "since": NOW - 9}],
        "failures": [failure], **more,
    }  # fmt: skip


def screen(found: dict[str, Any], size: tuple[int, int], *keys: str) -> list[str]:
    top = TopScreen(found, UNICODE, lambda *_: None, lambda: None)
    for key in keys:
        top.keypress(size, key)
    return [line.decode() for line in top.render(size).text]


@given(st.text(max_size=40), st.integers(0, 60), st.booleans())
def test_a_cell_is_as_wide_as_its_column_whatever_is_in_it(text: str, width: int, right: bool) -> None:
    for glyphs in (UNICODE, ASCII):
        cell = fit(visible(text, glyphs), width, glyphs, right=right)
        assert width_of(cell) == width
        assert cell.isprintable() and (glyphs.unicode or cell.isascii())


def test_what_turns_moves_or_has_no_width_is_escaped() -> None:
    shown = visible(STRANGE, UNICODE)
    assert shown == (r"/\x1b[2J\x9b\x07\u202eevil\u200b漢字e\u0301\U0001f469\u200d\U0001f467\u05d0\u05d1")
    assert visible(STRANGE, ASCII).isascii()


@pytest.mark.parametrize("show", [rate, took, age])
@given(value=st.floats(0, 1e8))
def test_numbers_fit_into_six_characters(show: Any, value: float) -> None:
    assert len(show(value)) <= 6


@given(st.integers(0, 10**11))
def test_counts_fit_into_six_characters(value: int) -> None:
    assert len(count(value)) <= 6


def test_times_are_written_as_people_read_them() -> None:
    assert [took(one) for one in (None, 0.00031, 0.0123, 0.43, 2.5, 12.34)] == [
        "-", "310us", "12.3ms", "430ms", "2.50s", "12.3s",
    ]  # fmt: skip
    assert [age(one) for one in (5, 65, 7200, 90000)] == ["5s", "1m05s", "2h00m", "1d01h"]


def test_a_plot_shows_the_last_at_its_end_and_leaves_out_what_is_not_known() -> None:
    assert plot([None, 0.0, 4.0, 8.0], 6, UNICODE) == "   ▁▅█"
    assert plot([0.0] * 150 + [1.0], 20, ASCII).endswith("#") and len(plot([1.0] * 151, 20, ASCII)) == 20
    assert plot([], 5, UNICODE) == "     "


@pytest.mark.parametrize("table", [ROUTES, SERVERS, WORKERS, FAILURES])
@pytest.mark.parametrize("width", [40, 59, 80, 100, 132, 250])
def test_a_line_is_never_wider_than_the_screen(table: EntryTable, width: int) -> None:
    rows = rows_of(table, document())
    layout = table.layout(rows, width, UNICODE)
    assert len(layout) > 1
    for row in rows:
        assert sum(width_of(text) for _, text in table.line(row, layout, UNICODE)) <= width
    assert width_of(table.head(layout, Sorting(table.sorted_by), UNICODE)) <= width


@pytest.mark.parametrize("size", [(40, 10), (60, 16), (80, 24), (80, 39), (120, 40), (200, 60), (10, 2)])
def test_every_line_of_every_size_is_full(size: tuple[int, int]) -> None:
    for keys in ((), ("2",), ("4",), ("?",), ("z",), ("/", "h"), ("z", "2")):
        lines = screen(document(), size, *keys)
        assert [width_of(line) for line in lines] == [size[0]] * size[1]


def test_at_80_by_24_no_column_that_counts_is_left_out() -> None:
    def heads(key: str) -> set[str]:
        return set(screen(document(), (80, 24), key)[5].replace("▼", " ").replace("▲", " ").split())

    assert heads("1") >= {"route", "req/s", "err/s", "refused", "p50", "p99", "flight", "queue"}
    assert heads("2") >= {"route", "server", "state", "for", "err/s", "why"}
    assert heads("3") >= {"worker", "gen", "state", "conns", "flight", "req/s", "lag", "memory"}
    assert heads("4") >= {"ended", "stat", "code", "took", "request", "server", "why"}


def test_a_long_target_leaves_the_other_columns_what_they_need() -> None:
    row = {
        "request-id": "0a", "ended": NOW, "method": "GET", "host": "a", "target": "/" + "x" * 511, "status": 502,
        "server": "10.20.30.40:54321", "route": "shop.example.com",
    }  # fmt: skip
    found = screen(document(failures=[row]), (160, 24), "4")
    assert "10.20.30.40:54321" in found[6] and "shop.example.com" in found[6]
    assert "10.20.30.40:54321" in "".join(screen(document(failures=[{**row, "target": "/"}]), (80, 24), "4")[-3:-1])


def test_what_l7_says_itself_is_no_escape_in_ascii() -> None:
    assert visible("connect refused ×3; a…é", ASCII) == "connect refused x3; a...\\xe9"


def test_a_marked_row_stays_marked_where_rows_change_places() -> None:
    opened: list[str] = []
    found = document()
    top = TopScreen(found, UNICODE, lambda _, row: opened.append(row["route"]), lambda: None)
    size = (80, 24)
    for key in ("down", "enter"):
        top.keypress(size, key)
    found["routes"][3]["rate"] = 99.0
    top.show(found)
    top.keypress(size, "enter")
    # Without a move it is the first one, whichever that is.
    top.keypress(size, "home")
    found["routes"][0]["rate"] = 999.0
    top.show(found)
    top.keypress(size, "enter")
    assert opened == ["host3.test", "host3.test", "host0.test"]


def test_servers_that_are_not_up_come_first_and_what_is_not_known_last() -> None:
    lines = screen(document(), (80, 24), "2")
    assert "10.0.0.2:80" in lines[6] and "9s" in lines[6] and "10.0.0.1:80" in lines[7]
    found = document()
    found["routes"][2]["p99"] = None
    for turned in (False, True):
        assert Sorting(5, turned).apply(ROUTES, found["routes"], UNICODE)[-1]["route"] == "host2.test"


def test_requests_that_are_under_way_come_first_however_old_they_are() -> None:
    old = {"started": NOW - 60, "total": 60.0, "under-way": True}
    rows = [old, {"started": NOW - 30, "total": 1.0}, {"started": NOW - 3, "total": 1.0}]
    assert Sorting(REQUESTS.sorted_by).apply(REQUESTS, rows, UNICODE) == [old, rows[2], rows[1]]


def test_ctrl_c_is_noted_wherever_it_comes() -> None:
    woken: list[int] = []
    come, before = on_signals(lambda: woken.append(1))
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (come, woken) == ([signal.SIGINT], [1])


def test_an_l7_that_does_not_answer_is_told_on_every_size() -> None:
    for size in ((40, 10), (80, 24)):
        top = TopScreen(document(), UNICODE, lambda *_: None, lambda: None)
        top.say("no news for 4s: it has gone away")
        lines = [line.decode() for line in top.render(size).text]
        assert lines[0].startswith("STALE ") and any("no news for 4s" in line for line in lines[:4])
