"""What a client's certificate says, as servers are told: OpenSSL has verified it in the handshake.

After a resumption it is the certificate of the ticket, which is not verified again.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import time
from collections.abc import Iterator
from typing import Any, Final

LONGEST_SUBJECT: Final = 4096
"""Bytes; a longer subject is not told at all, because one that is cut could be taken for another one's."""
NONE: Final = "none"
OK: Final = "ok"

_SHORT: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
"""The names of attributes in RFC 4514, 3, by those of OpenSSL; others go by OpenSSL's, or by their numbers."""
_SPECIAL: Final = re.compile(r'[\\"+,;<>]|^[ #]|[ ]$')
_NOT_VISIBLE: Final = re.compile(r"[^ -~]")


def client_certificate(state: ssl.SSLObject) -> tuple[str, str, str]:
    """What a client has shown in its handshake, which is complete: ``client_*`` of `l7.tls.details.TlsDetails`."""
    if state.context.verify_mode is ssl.CERT_NONE:
        return "", "", ""
    whole = state.getpeercert(binary_form=True)
    if whole is None:
        return NONE, "", ""
    try:
        subject = subject_of((state.getpeercert() or {}).get("subject", ()))
    except (ssl.SSLError, ValueError):  # `ssl` cannot read it: a name in it is of no character set
        subject = ""
    return OK, subject, hashlib.sha256(whole).hexdigest()


def has_ended(state: ssl.SSLObject) -> bool:
    """Whether the time of a client's certificate is up: of one that was resumed OpenSSL does not say so.

    One that `ssl` cannot read counts as ended: its client has to show it again.
    """
    try:
        found = state.getpeercert()
    except (ssl.SSLError, ValueError):
        return True
    return ssl.cert_time_to_seconds(str(found["notAfter"])) < time.time() if found else False


def subject_of(names: Any) -> str:
    """A distinguished name as RFC 4514 writes it, from what `ssl` makes of it.

    Empty when it is too long, or one of its values is no text but bits (``x500UniqueIdentifier``).
    """
    if not all(isinstance(value, str) for names_of_one in names for _, value in names_of_one):
        return ""
    parts = ["+".join(_attributes(names_of_one)) for names_of_one in reversed(names)]
    subject = ",".join(parts)
    return subject if len(subject) <= LONGEST_SUBJECT else ""


def _attributes(names: Any) -> Iterator[str]:
    for name, value in names:
        yield f"{_SHORT.get(name, name)}={_escaped(value)}"


def _escaped(value: str) -> str:
    """RFC 4514, 2.4; beyond what it asks for, all that is no visible ASCII is escaped."""
    escaped = _SPECIAL.sub(lambda found: f"\\{found[0]}", value)
    return _NOT_VISIBLE.sub(lambda found: "".join(f"\\{octet:02X}" for octet in found[0].encode()), escaped)
