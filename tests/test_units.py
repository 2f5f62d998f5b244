"""Durations and sizes: what people write is what is shown again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7.units import parse_duration, parse_size, quoted, show_duration, show_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("2s", 2), ("5m", 300), ("1h", 3600), ("1.5s", 1.5), ("60", 60), (3, 3), (0.25, 0.25), ("0", 0)],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1d", "1:30", "1 2", "0x10", "1e3", "inf", "nan", "1S", True, None, [], "9999999h", "１s"]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (8, "8s"),
        (300, "5m"),
        (60, "60s"),
        (75, "75s"),
        (90, "90s"),
        (120, "2m"),
        (3600, "1h"),
        (0.5, "500ms"),
        (0, "0s"),
    ],
)
def test_durations_are_shown_in_the_largest_whole_unit(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_durations_round_trip(thousandths: int) -> None:
    assert parse_duration(show_duration(thousandths / 1000)) == thousandths / 1000


@pytest.mark.parametrize(
    ("text", "size"),
    [("64KiB", 65536), ("10MB", 10_000_000), ("1GiB", 2**30), ("1kb", 1000), ("512", 512), (7, 7), ("0.5KiB", 512)],
)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "KiB", "-1", "1k", "1XB", "0.3B", "unlimited", "1_000", True, None, "9" * 30])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match=r"size|whole|large"):
        parse_size(text)


@given(st.integers(0, 2**62))
def test_sizes_round_trip(size: int) -> None:
    assert parse_size(show_size(size)) == size


def test_a_size_of_nothing_has_a_unit() -> None:
    assert show_size(0) == "0B"


def test_values_in_messages_are_short_and_printable() -> None:
    assert quoted("a\nb") == r"'a\nb'"
    assert len(quoted("x" * 1000)) < 70
