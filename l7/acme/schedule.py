"""When a certificate is obtained and renewed, and how long is waited after a try that failed. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from l7.acme.records import Account, HostRecord
from l7.tls.certificates import CertificateInfo

PAUSES = (60.0, 600.0, 6000.0, 86400.0)
"""Seconds after the first, second, third and each further try in a row that failed, as Let's Encrypt advises."""
SPREAD = 0.1
"""The share of a pause by which it is longer at random, so that many l7 do not come at once."""
LONGEST = 7 * 86400.0
"""Seconds that an authority may tell to wait."""
QUIET = 3600.0
"""Seconds of that for which the other hosts wait, too: the limit may be one of the host alone."""
LEAST = 86400.0
"""Seconds between two certificates of a host, a quarter of their life where that is less."""
ASK_AGAIN = 6 * 3600.0
"""Seconds after which renewal information is asked for again, where the authority says nothing (RFC 9773, 4.3.3)."""
ASK_WITHIN = (60.0, 86400.0)
"""The bounds of what it says."""

Step = Literal["order", "ask"]


def next_step(record: HostRecord, info: CertificateInfo | None) -> tuple[float, Step]:
    """When to do what next for a host: order a certificate, or ask when to renew. ``info``: the one that it has."""
    if info is None and not record.failures and not record.order:
        return 0.0, "order"  # what it had is lost: it does not wait for the day between two
    if info is None or record.order:
        return record.not_before, "order"
    due = max(renewal_time(record, info), record.not_before)
    ask_at = record.ask_at if is_about(record, info) else 0.0
    # Not after it has expired (RFC 9773, 4.3).
    return (ask_at, "ask") if ask_at < due and ask_at < info.not_after else (due, "order")


def renewal_time(record: HostRecord, info: CertificateInfo) -> float:
    """When a third of the life is left, of a short-lived one a half; sooner where the authority wants it."""
    at = info.renewal_time
    return min(at, record.renew_at) if record.renew_at and is_about(record, info) else at


def is_about(record: HostRecord, info: CertificateInfo) -> bool:
    """Whether the renewal information is about this certificate."""
    return record.serial == f"{info.serial:x}"


def believed(record: HostRecord, now: float) -> HostRecord:
    """A record of the disk, without times further ahead than any is ever set: the clock was wrong then."""
    not_before = record.not_before if record.not_before <= now + LONGEST * (1 + SPREAD) else 0.0
    return replace(record, not_before=not_before, ask_at=record.ask_at if record.ask_at <= now + ASK_WITHIN[1] else 0.0)


def believed_account(account: Account, now: float) -> Account:
    """The same for an account."""
    return account if account.quiet_until <= now + QUIET else replace(account, quiet_until=0.0)


def failed(record: HostRecord, why: str, now: float, chance: float, retry_after: float = 0.0) -> HostRecord:
    """The record after a try that failed.

    :param chance: between 0 and 1, at random.
    :param retry_after: seconds that the authority tells to wait at least.
    """
    pause = PAUSES[min(record.failures, len(PAUSES) - 1)]
    seconds = max(pause, min(retry_after, LONGEST)) * (1 + SPREAD * chance)
    return replace(record, failures=record.failures + 1, not_before=now + seconds, problem=why)


def obtained(info: CertificateInfo, now: float) -> HostRecord:
    """The record of a host that has a new certificate; nothing of the one before is kept.

    Another one is not ordered for some time, whatever the clock of the machine says of this one.
    """
    life = info.not_after - info.not_before
    return HostRecord(serial=f"{info.serial:x}", not_before=now + min(life / 4, LEAST))


def asked(
    record: HostRecord, info: CertificateInfo, now: float, chance: float, window: tuple[float, float] | None,
    again: float = ASK_AGAIN,
) -> HostRecord:  # fmt: skip
    """The record after the authority was asked when to renew.

    A moment of the window is chosen once: as long as the window is the same, it stays (RFC 9773, 4.2).

    :param window: None where it has no answer.
    """
    least, most = ASK_WITHIN
    ask_at = now + min(max(again, least), most)
    known = is_about(record, info)
    if window is None:
        kept = record if known else replace(record, renew_at=0.0, window=(0.0, 0.0))
        return replace(kept, serial=f"{info.serial:x}", ask_at=ask_at)
    at = record.renew_at if known and window == record.window and record.renew_at else _moment(window, chance)
    return replace(record, serial=f"{info.serial:x}", window=window, renew_at=at, ask_at=ask_at)


def _moment(window: tuple[float, float], chance: float) -> float:
    start, end = window
    return start + (end - start) * chance
