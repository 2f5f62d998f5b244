"""What is due each day of TLS: a warning of certificates that should have been renewed, other keys for tickets."""

from __future__ import annotations

import time

from l7.clock import monotonic
from l7.master.context import MasterContext
from l7.master.part import MasterPart
from l7.telemetry.events import named
from l7.tls.certificates import DAY, CertificateInfo, day


class CertificateWatch(MasterPart):
    """Looks once a day at the certificates that are served, and at the keys of tickets."""

    def __init__(self, context: MasterContext) -> None:
        self._context = context
        self._next = 0.0
        self._generation = 0

    @property
    def due(self) -> float | None:
        """When it looks again; never where there are none."""
        generations = self._context.generations
        files = generations.current.files
        if files.certificates:
            return min(self._next, generations.tls.renewal_due)
        return self._next if files.shown else None

    def look(self) -> None:
        """Warn, each day and when others are served, of those of which too little life is left; renew keys."""
        served = self._context.generations.current
        now = monotonic()
        if now >= self._context.generations.tls.renewal_due:
            self._context.generations.tls.renew_sessions()
        if served.generation.number == self._generation and now < self._next:
            return
        self._generation, self._next = served.generation.number, now + DAY
        for name, info in served.files.shown:
            if info.is_renewal_due(time.time()):
                self._warn(name, info)

    def _warn(self, name: str, info: CertificateInfo) -> None:
        left = info.days_left
        when = f"ends on {day(info.not_after)}, in {left} days" if left >= 0 else f"has ended on {day(info.not_after)}"
        words = f"tls: {name} {when}: it should have been renewed by now"
        self._context.events.warning(named("certificate.due", words, days=left))
