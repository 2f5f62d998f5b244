"""The conversation with an authority: an account, an order, its challenge, the certificate. By certbot's ``acme``.

Each call waits, for an answer or a while. This module is imported where certificates are obtained, and nowhere else:
what it brings is of some megabytes, and not installed where nobody wants ACME. The master imports it, for its children:
an account that has given up root may not be able to.
"""

from __future__ import annotations

import base64
import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol

import josepy
import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from l7.acme.network import AuthorityNetwork, why_unreachable
from l7.acme.records import Account
from l7.config.sections.tls import Acme
from l7.config.values.names import printable
from l7.errors import L7Error
from l7.tls.servers.trust import NoAuthoritiesError

ANSWER_WITHIN = 30
"""Seconds that an answer may take to begin, and each pause within it."""
VALIDATED_WITHIN = 120.0
ISSUED_WITHIN = 120.0
"""Seconds from the challenge to the verdict, and from that to the certificate."""
POLL, LONGEST_POLL = 1.0, 30.0
"""Seconds between two looks, where the authority says nothing, and at most."""
NOT_AGAIN = 3600.0
"""Seconds to wait where an authority says that a limit is reached, and not for how long."""

_DONE = (messages.STATUS_READY, messages.STATUS_PROCESSING, messages.STATUS_VALID)


class AuthorityError(L7Error):
    """No certificate for now; it says why in words.

    ``retry_after`` is for how many seconds not to ask again; ``forgotten`` says that the account is not known there.
    """

    def __init__(self, words: str, retry_after: float = 0.0, *, forgotten: bool = False) -> None:
        super().__init__(words)
        self.retry_after = retry_after
        self.forgotten = forgotten


class OrderSteps(Protocol):
    """What is done between the steps of an order."""

    def publish(self, token: str, answer: str) -> None:
        """Have workers answer the challenge ``token`` from now on."""

    def remember(self, url: str, key: bytes) -> None:
        """Keep the order and the private key of the certificate that is about to be issued."""


class _NewOrder(messages.NewOrder):  # type: ignore[misc]
    """An order that says which certificate it replaces (RFC 9773, 5)."""

    replaces: str = josepy.field("replaces", omitempty=True)


class Authority:
    """One authority, with our account there.

    :param issuers: those that its own certificate is verified by, as PEM; empty for those of the system.
    :raises AuthorityError: the system has none.
    """

    def __init__(self, settings: Acme, issuers: str, account: Account, user_agent: str) -> None:
        self._settings = settings
        self._account = account
        try:
            self._network = AuthorityNetwork(user_agent, issuers, ANSWER_WITHIN)
        except NoAuthoritiesError as error:
            raise AuthorityError(str(error)) from None
        self._client: Any = None

    def connect(self) -> Account:
        """Fetch the directory, and register where there is no account; returns the account."""
        with self._in_words():
            directory = client.ClientV2.get_directory(self._settings.directory, self._network)
            for name in ("newNonce", "newAccount", "newOrder"):
                directory[name]
            self._client = client.ClientV2(directory, self._network)
            key = self._account.key or new_key().decode("ascii")
            self._network.key = josepy.JWKEC(key=load_pem_private_key(key.encode("ascii"), None))
            uri = self._account.uri if self._account.key else ""
            self._account = Account(uri or self._register(), key)
            self._network.account = messages.RegistrationResource(uri=self._account.uri, body=messages.Registration())
            return self._account

    def _register(self) -> str:
        eab, meta = self._settings.eab, getattr(self._client.directory, "meta", None)
        options: dict[str, Any] = {}
        if eab is not None:
            options["external_account_binding"] = messages.ExternalAccountBinding.from_data(
                account_public_key=self._network.key.public_key(), kid=eab.key_id,
                hmac_key=eab.hmac.get_secret_value().rstrip("="), directory=self._client.directory,
            )  # fmt: skip
        elif getattr(meta, "external_account_required", None):
            raise AuthorityError("it wants an account of its own: write the key that it has given into tls.acme.eab")
        wanted = messages.NewRegistration.from_data(email=self._settings.email, terms_of_service_agreed=True, **options)
        try:
            return str(self._client.new_account(wanted).uri)
        except errors.ConflictError as known:
            return str(known.location)

    def obtain(self, host: str, steps: OrderSteps, replaced: bytes | None = None) -> tuple[bytes, bytes]:
        """Order a certificate, answer the challenge, fetch it; returns the chain and the key, both as PEM.

        :param replaced: the certificate that it is to replace, as PEM.
        """
        with self._in_words():
            key = new_key()
            order = self._new_order(host, crypto_util.make_csr(key, [host]), replaced)
            for url in order.body.authorizations:
                self._authorize(host, url, steps)
            steps.remember(str(order.uri), key)
            return self._finish(order), key

    def resume(self, host: str, url: str, key: bytes) -> bytes | None:
        """The chain of an order that was left after its challenge; None where nothing comes of it any more."""
        with self._in_words():
            try:
                body = messages.Order.from_json(self._post(url, None).json())
            except messages.Error:
                return None
            if body.status not in _DONE:
                return None
            return self._finish(messages.OrderResource(body=body, uri=url, csr_pem=crypto_util.make_csr(key, [host])))

    def renewal_window(self, certificate: bytes) -> tuple[tuple[float, float] | None, float]:
        """When the authority wants a certificate to be renewed, from and to, and seconds until it is to be asked again.

        The first is None where it does not say (RFC 9773, 4).
        """
        with self._in_words():
            try:
                base = self._client.directory["renewalInfo"]
            except KeyError:
                return None, 86400.0
            name = _unique_name(certificate)
            if name is None:
                return None, 86400.0
            response = self._network.get(f"{base.rstrip('/')}/{name}")
            window = messages.RenewalInfo.from_json(response.json()).suggested_window
            start, end = window.start.timestamp(), window.end.timestamp()
            return (start, max(start, end)), _seconds(response, 6 * 3600.0)

    def _new_order(self, host: str, csr: bytes, replaced: bytes | None) -> messages.OrderResource:
        name = _unique_name(replaced) if replaced is not None and "renewalInfo" in self._known() else None
        names = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=host)]
        try:
            response = self._post(self._client.directory["newOrder"], _NewOrder(identifiers=names, replaces=name))
        except (errors.ConflictError, messages.Error) as refusal:
            # It was replaced already, or the authority knows nothing of it.
            if name is None or getattr(refusal, "code", None) in ("rateLimited", "accountDoesNotExist"):
                raise
            response = self._post(self._client.directory["newOrder"], _NewOrder(identifiers=names))
        body = messages.Order.from_json(response.json())
        return messages.OrderResource(body=body, uri=response.headers.get("Location"), csr_pem=csr)

    def _authorize(self, host: str, url: str, steps: OrderSteps) -> None:
        found = messages.Authorization.from_json(self._post(url, None).json())
        if found.status == messages.STATUS_VALID:
            return
        offered = [one for one in found.challenges if isinstance(one.chall, challenges.HTTP01)]
        if not offered:
            kinds = ", ".join(sorted(one.chall.typ for one in found.challenges)) or "none"
            raise AuthorityError(f"it offers no challenge over HTTP (http-01) for {host}, but: {kinds}")
        response, answer = offered[0].response_and_validation(self._network.key)
        steps.publish(offered[0].chall.encode("token"), answer)
        self._client.answer_challenge(offered[0], response)
        self._await_verdict(host, url)

    def _await_verdict(self, host: str, url: str) -> None:
        until = time.monotonic() + VALIDATED_WITHIN
        while True:
            response = self._post(url, None)
            found = messages.Authorization.from_json(response.json())
            if found.status == messages.STATUS_VALID:
                return
            if found.status != messages.STATUS_PENDING:
                whys = [one.error.detail or one.error.typ for one in found.challenges if one.error is not None]
                raise AuthorityError(f"it could not validate {host}: {printable('; '.join(whys) or 'no reason', 400)}")
            pause = min(max(POLL, _seconds(response, POLL)), LONGEST_POLL)
            if time.monotonic() + pause > until:
                raise AuthorityError(f"it has not validated {host} within {VALIDATED_WITHIN:g} s")
            time.sleep(pause)

    def _finish(self, order: messages.OrderResource) -> bytes:
        done = self._client.finalize_order(order, datetime.now() + timedelta(seconds=ISSUED_WITHIN))
        return str(done.fullchain_pem).encode("ascii")

    def _known(self) -> dict[str, Any]:
        """The directory as it came."""
        found: dict[str, Any] = self._client.directory.to_partial_json()
        return found

    def _post(self, url: str, what: Any) -> requests.Response:
        return self._network.post(url, what, new_nonce_url=self._client.directory["newNonce"])

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Raise whatever goes wrong as an `AuthorityError`."""
        try:
            yield
        except messages.Error as refusal:
            raise self._refused(refusal) from None
        except errors.IssuanceError as refusal:
            raise self._refused(refusal.error) from None
        except requests.JSONDecodeError as error:
            raise self._nonsense(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise AuthorityError(why_unreachable(error)) from None
        except errors.TimeoutError:
            raise AuthorityError(f"it has not issued the certificate within {ISSUED_WITHIN:g} s") from None
        except (errors.Error, josepy.Error, ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._nonsense(error) from None

    def _refused(self, refusal: messages.Error) -> AuthorityError:
        code = str(refusal.typ).rpartition(":")[2]
        words = f"it refuses: {printable(str(refusal.detail or code), 400)}"
        whys = [str(one.detail) for one in refusal.subproblems or () if one.detail]
        if whys:
            words += f" ({printable('; '.join(whys), 400)})"
        pause = self._told_to_wait() or (NOT_AGAIN if code == "rateLimited" else 0.0)
        return AuthorityError(words, pause, forgotten=code == "accountDoesNotExist")

    def _nonsense(self, error: Exception) -> AuthorityError:
        last = self._network.last
        if last is not None and last.status_code >= 400:
            return AuthorityError(
                f"it answers {last.status_code} {printable(last.reason or '', 60)}", self._told_to_wait()
            )
        words = printable(" ".join(str(error).split()) or type(error).__name__, 120)
        return AuthorityError(f"what answers at {self._settings.directory} does not speak ACME: {words}")

    def _told_to_wait(self) -> float:
        """Seconds that the last answer tells to wait (RFC 8555, 6.6)."""
        last = self._network.last
        return 0.0 if last is None or "Retry-After" not in last.headers else _seconds(last, 0.0)


def new_key() -> bytes:
    """A new private key, P-256, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _seconds(response: requests.Response, otherwise: float) -> float:
    """For how long Retry-After says to wait."""
    when: datetime = client.ClientV2.retry_after(response, int(otherwise))
    return max(0.0, (when - datetime.now()).total_seconds())


def _unique_name(certificate: bytes) -> str | None:
    """What renewal information knows a certificate by (RFC 9773, 4.1); None for one that does not name its issuer."""
    leaf = x509.load_pem_x509_certificate(certificate)
    try:
        issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return None
    if issuer is None:
        return None
    serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    return ".".join(base64.urlsafe_b64encode(one).decode("ascii").rstrip("=") for one in (issuer, serial))
