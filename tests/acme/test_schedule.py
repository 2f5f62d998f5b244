"""When certificates are obtained, renewed and tried again."""

from __future__ import annotations

import pytest

from l7.acme import schedule
from l7.acme.records import Account, HostRecord, record_of
from l7.tls.certificates import DAY, CertificateInfo

NOW = 1_800_000_000.0


def certificate(life: float, *, serial: int = 0xAB) -> CertificateInfo:
    return CertificateInfo(("a.test",), "CN=authority", NOW, NOW + life, serial)


def test_without_a_certificate_one_is_ordered_at_once():
    assert schedule.next_step(HostRecord(), None) == (0.0, "order")


def test_one_that_was_lost_is_ordered_at_once_and_after_a_failure_as_any_other():
    record = schedule.obtained(certificate(90 * DAY), NOW)
    assert schedule.next_step(record, None) == (0.0, "order")
    failed = schedule.failed(record, "why", NOW, 0.0)
    assert schedule.next_step(failed, None) == (failed.not_before, "order")


def test_an_order_that_was_left_is_gone_on_with_though_there_is_a_certificate():
    record = HostRecord(order="https://ca/1", not_before=NOW + 5)
    assert schedule.next_step(record, certificate(90 * DAY)) == (NOW + 5, "order")


@pytest.mark.parametrize(("life", "left"), [(90 * DAY, 30 * DAY), (45 * DAY, 15 * DAY), (6 * DAY, 3 * DAY)])
def test_a_third_of_the_life_is_left_of_a_short_one_a_half(life, left):
    info = certificate(life)
    record = schedule.asked(schedule.obtained(info, NOW), info, NOW + life, 0.5, None)  # not asked again before
    assert schedule.next_step(record, info) == (info.not_after - left, "order")


def test_the_authority_is_asked_first_and_may_want_it_sooner():
    info = certificate(90 * DAY)
    record = schedule.obtained(info, NOW - 10 * DAY)
    assert schedule.next_step(record, info) == (0.0, "ask")
    window = (NOW + DAY, NOW + 3 * DAY)
    record = schedule.asked(record, info, NOW, 0.5, window, 3600.0)
    assert record.renew_at == NOW + 2 * DAY
    assert schedule.next_step(record, info) == (NOW + 3600, "ask")
    again = schedule.asked(record, info, NOW + 3600, 0.9, window, 3600.0)
    assert again.renew_at == record.renew_at, "a moment of the same window is chosen once"
    moved = schedule.asked(record, info, NOW + 3600, 0.9, (NOW, NOW + 1), 10 * DAY)
    assert moved.renew_at == NOW + 0.9
    assert moved.ask_at == NOW + 3600 + DAY, "it is asked each day at least"
    assert schedule.next_step(moved, info) == (NOW + 0.9, "order")


def test_no_answer_leaves_what_is_known_and_another_certificate_forgets_it():
    info = certificate(90 * DAY)
    record = schedule.asked(schedule.obtained(info, NOW), info, NOW, 0.0, (NOW, NOW + 9))
    assert schedule.asked(record, info, NOW, 0.0, None).renew_at == NOW
    other = certificate(90 * DAY, serial=0xCD)
    assert schedule.renewal_time(record, other) == other.renewal_time
    assert schedule.asked(record, other, NOW, 0.0, None).renew_at == 0.0


def test_pauses_grow_and_are_never_shorter_than_the_authority_tells():
    record, pauses = HostRecord(), []
    for _ in range(6):
        record = schedule.failed(record, "why", NOW, 0.0)
        pauses.append(record.not_before - NOW)
    assert pauses == [60, 600, 6000, 86400, 86400, 86400]
    assert record.failures == 6
    assert schedule.failed(HostRecord(), "", NOW, 1.0).not_before == pytest.approx(NOW + 66)
    assert schedule.failed(HostRecord(), "", NOW, 0.0, 7200.0).not_before == NOW + 7200
    assert schedule.failed(HostRecord(), "", NOW, 0.0, 1e9).not_before == NOW + 7 * DAY
    info = certificate(DAY / 24)
    asked = schedule.asked(record, info, NOW, 0.0, None)
    assert schedule.next_step(asked, info) == (record.not_before, "order"), "also where one is overdue"


def test_what_was_written_while_the_clock_was_ahead_holds_nothing_up_when_it_is_right_again():
    info = certificate(90 * DAY)
    right = schedule.failed(schedule.asked(HostRecord(), info, NOW, 0.0, None, DAY), "why", NOW, 1.0, 30 * DAY)
    assert schedule.believed(right, NOW) == right, "the longest pause that there is"
    late = schedule.failed(schedule.asked(HostRecord(), info, NOW + 1000 * DAY, 0.0, None), "", NOW + 1000 * DAY, 0.0)
    assert schedule.believed(late, NOW).not_before == schedule.believed(late, NOW).ask_at == 0.0
    account = Account("https://ca/1", "key", quiet_until=NOW + schedule.QUIET)
    assert schedule.believed_account(account, NOW) == account
    assert schedule.believed_account(account, NOW - DAY) == Account("https://ca/1", "key")


def test_a_clock_that_is_ahead_does_not_order_again_and_again():
    late = NOW + 1000 * DAY
    for life, pause in ((90 * DAY, DAY), (16.0, 4.0)):
        info = certificate(life)
        record = schedule.asked(schedule.obtained(info, late), info, late, 0.5, None)
        assert schedule.next_step(record, info) == (late + pause, "order")


def test_a_record_comes_back_as_it_was_written():
    record = HostRecord(3, NOW, "why", "https://ca/1", "key", "ab", (1.0, 2.0), 1.5, NOW)
    assert record_of(HostRecord, record.text()) == record
    assert record_of(Account, Account("u", "k").text()) == Account("u", "k")
    assert record_of(HostRecord, '{"failures": 2, "of another version": 1}') == HostRecord(failures=2)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', '{"failures": "2"}', '{"window": [1]}', '{"window": 3}', "[" * 9999]
)
def test_what_is_no_record_is_none(text):
    assert record_of(HostRecord, text) == HostRecord()


def test_no_secret_is_in_what_python_shows():
    assert "hidden" not in repr(Account("u", "hidden"))
    assert "hidden" not in repr(HostRecord(key="hidden"))
