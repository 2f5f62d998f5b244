"""Error pages: which one is shown, what is filled in, and what is wrong with a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from l7.config.reading.loading import load
from l7.errors import ConfigError
from l7.rules.answers.error_pages import ErrorPage, ErrorPagesRule
from l7.rules.answers.page_files import changed_pages, read_error_page, read_pages
from tests.rules.contexts import context_of, unread

KNOWN = {"status": b"502", "reason": b"connection <refused>", "request-id": b"id-1"}


def test_the_nearest_page_is_shown_and_an_exact_status_before_a_range():
    pages = {name: ErrorPage(name, name) for name in ("a.txt", "b.txt", "c.txt", "d.txt")}
    general = {"502": "c.txt", "503": "c.txt", "4xx": "d.txt"}
    found = ErrorPagesRule(("error-pages",), [{"5xx": "a.txt", "404": "b.txt"}, general], pages)
    shown = {status: found.find(status) for status in (502, 503, 404, 401, 499, 500, 200)}
    assert shown == {
        502: pages["a.txt"], 503: pages["a.txt"], 500: pages["a.txt"], 404: pages["b.txt"], 401: pages["d.txt"],
        499: pages["d.txt"], 200: None,
    }  # fmt: skip
    assert ErrorPagesRule(("error-pages",), [{"502": "a.txt", "5xx": "b.txt"}], pages).find(502) == pages["a.txt"]
    assert found.describe() == "404: b.txt, 5xx: a.txt, 502: c.txt, 503: c.txt, 4xx: d.txt"


@pytest.mark.parametrize(
    ("name", "text", "sent"),
    [
        ("p.html", "<h1>{status} {reason}</h1>{target}", b"<h1>502 connection &lt;refused&gt;</h1>/a/b?c=d"),
        ("p.json", '{"status": {status}, "why": "{reason}"}', b'{"status": 502, "why": "connection <refused>"}'),
        ("p.txt", "{status} {{status}} {request-id} {client}", b"502 {status} id-1 192.0.2.7"),
    ],
)
def test_variables_are_filled_in(name, text, sent):
    assert ErrorPage(name, text).body(context_of(), KNOWN) == sent


def test_what_is_not_known_without_a_request_is_empty():
    assert ErrorPage("p.txt", "{status}[{target}][{request-id}]").body(unread(), KNOWN) == b"502[][id-1]"


def loaded(tmp_path: Path, text: str):
    path = tmp_path / "l7.yml"
    path.write_text(text)
    return load(["-c", str(path)], {})


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read_pages(loaded(tmp_path, text), read_error_page)
    return [str(one).removeprefix(f"{tmp_path}/") for one in refused.value.problems]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: no such file or directory"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"a\nb\xff", "line 2: is no text in UTF-8"),
        (b"a\0b", "has a zero byte: it is no text"),
        (b"a\nbody {color}\n", "line 2: {color}: unknown variable"),
        (b"a" * (1024**2 + 1), "cannot be read: it has more than 1MiB"),
        ("directory", "cannot be read: is a directory"),
        ("pipe", "cannot be read: it is no regular file"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, content, why):
    page = tmp_path / "5.html"
    if content == "directory":
        page.mkdir()
    elif content == "pipe":
        os.mkfifo(page)
    elif content is not None:
        page.write_bytes(content)
    (problem,) = problems(tmp_path, f"backends:\n  a:\n    servers: []\n    error-pages:\n      5xx: {page}\n")
    assert problem.startswith(f"l7.yml:5: backends.a.error-pages.5xx: {page}: {why}")


def test_all_problems_are_told_and_each_file_once(tmp_path):
    page = tmp_path / "missing.html"
    text = (
        f"error-pages:\n  502: {page}\n  404: none.txt\nbackends:\n  a: {{servers: [], error-pages: {{502: {page}}}}}\n"
    )
    first, second = problems(tmp_path, text)
    assert first.startswith(f"l7.yml:2: error-pages.502: {page}: cannot be read")
    assert second.startswith("l7.yml:3: error-pages.404: none.txt: cannot be read")


def test_a_file_is_read_once_and_a_change_of_it_is_told(tmp_path):
    page, other = tmp_path / "5.html", tmp_path / "new.txt"
    page.write_bytes(b"\xef\xbb\xbfbefore")
    other.write_text("x")
    text = (
        f"error-pages: {{502: {page}, 503: {page}}}\nbackends: {{a: {{servers: [], error-pages: {{502: {page}}}}}}}\n"
    )
    asked = []

    def read(name: str) -> bytes:
        asked.append(name)
        return read_error_page(name)

    old = read_pages(loaded(tmp_path, text), read)
    assert asked == [str(page)]
    assert old[str(page)].body(unread(), {}) == b"before"
    assert changed_pages(old, read_pages(loaded(tmp_path, text), read)) == []
    page.write_text("after")
    new = read_pages(loaded(tmp_path, text.replace("503: " + str(page), f"503: {other}")), read)
    assert changed_pages(old, new) == [f"error-pages: {page}: changed"]
