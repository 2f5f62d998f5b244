"""The part of the schema below `tls`: certificates, and what all listeners with TLS have that do not say otherwise."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from l7.config.model import BeforeValidator, Field, SecretStr, model_validator
from l7.config.section import Section
from l7.config.values import acme, jsontypes, scalars
from l7.config.values.backend import show_unless_off, unless_off
from l7.config.values.scalars import Flag, Form

CertificatePath = Annotated[str, BeforeValidator(scalars.path), Form("path", schema=jsontypes.PATH)]
OptionalPath = Annotated[str | None, BeforeValidator(scalars.optional_path), Form("path", schema=jsontypes.PATH)]


Email = Annotated[str, BeforeValidator(acme.email), Form("address", schema=jsontypes.EMAIL)]
DirectoryUrl = Annotated[str, BeforeValidator(acme.directory), Form("URL", schema=jsontypes.HTTPS_URL)]
StoragePath = Annotated[str, BeforeValidator(scalars.path), Form("path", schema=jsontypes.PATH)]
AcmeHosts = Annotated[
    tuple[str, ...],
    BeforeValidator(acme.hosts),
    Form("list of hosts, or `auto`", acme.show_hosts, jsontypes.ACME_HOSTS),
]
KeyId = Annotated[str, BeforeValidator(acme.key_id), Form("text", schema=jsontypes.VISIBLE)]
HmacKey = Annotated[SecretStr, BeforeValidator(acme.hmac), Form("base64url", scalars.show_secret, jsontypes.BASE64URL)]


_UNLESS_OFF = Form("section or `off`", show_unless_off)


class CertificateFiles(Section):
    """The files of one certificate; a plain text is the same as its ``cert``."""

    short_form: ClassVar[str | None] = "cert"

    cert: CertificatePath = Field(
        description="The file of the certificate, followed by those of its issuers, as PEM: the full chain.",
        examples=["/etc/l7/example.com.crt"],
    )
    key: OptionalPath = Field(
        default=None,
        description="The file of its private key; without it the key is in the file of the certificate.",
        examples=["/etc/l7/example.com.key"],
    )

    @model_validator(mode="before")
    @classmethod
    def _plain_text_is_the_file(cls, data: Any) -> Any:
        return {cls.short_form: data} if isinstance(data, str) else data


class ExternalAccount(Section):
    """The account at an authority that an ACME account is bound to (RFC 8555, 7.3.4)."""

    key_id: KeyId = Field(description="The id of the key that the authority has given.", examples=["kid-1"])
    hmac: HmacKey = Field(
        description="That key, in base64url as the authority has given it; it is shown nowhere.", examples=["c2VjcmV0"]
    )


class Acme(Section):
    """Certificates by ACME (RFC 8555): obtained and renewed without anybody's doing."""

    email: Annotated[Email, Flag("--acme", metavar="EMAIL")] = Field(
        description="Obtain certificates for all hosts by ACME, and renew them; whom the authority may write to.",
        examples=["me@example.com"],
    )
    directory: DirectoryUrl = Field(
        default="https://acme-v02.api.letsencrypt.org/directory",
        description="The directory of the authority; its terms of service are agreed to.",
        examples=["'https://acme-staging-v02.api.letsencrypt.org/directory'"],
    )
    storage: StoragePath = Field(
        default="/var/lib/l7/acme",
        description="The directory for the account, the keys and the certificates; who loses it soon meets the limits "
        "of the authority.",
    )
    hosts: AcmeHosts = Field(
        default=(),
        description="The hosts that certificates are obtained for, one for each: `auto` is every host of `backends` "
        "that is neither a wildcard nor an IP address, nor in a certificate of `tls.certificates`.",
        examples=["[example.com, www.example.com]"],
    )
    ca: OptionalPath = Field(
        default=None,
        description="The file with the issuers that the directory's own certificate is verified by, as PEM; without it "
        "those of the system.",
        examples=["/etc/l7/authority.pem"],
    )
    eab: Annotated[ExternalAccount | None, BeforeValidator(unless_off), _UNLESS_OFF] = Field(
        default=None,
        description="The account at the authority that the ACME account belongs to, where it wants one (external "
        "account binding).",
        examples=["{key-id: kid-1, hmac: c2VjcmV0}"],
    )


class Tls(Section):
    """TLS towards clients."""

    certificates: Annotated[tuple[CertificateFiles, ...], Flag("--tls-cert", metavar="FILE", repeat=True)] = Field(
        default=(),
        description="The certificates, chosen by the name that a client asks for (SNI): exact, then by a wildcard of "
        "one label, else the first. With any, and without `listeners`, the one port speaks TLS, and is 443 where none "
        "is given. They are read again at a reload. `--tls-key` names the key of the `--tls-cert` that it has the "
        "place of.",
        examples=["[{cert: /etc/l7/example.com.crt, key: /etc/l7/example.com.key}]"],
    )
    min_version: Annotated[Literal["1.2", "1.3"], Form("version", schema=jsontypes.TLS_VERSION)] = Field(
        default="1.2", description="The lowest version of TLS that is spoken: `1.2` or `1.3`.", examples=["'1.3'"]
    )
    client_auth: Annotated[Literal["off", "request", "require"], Form("name")] = Field(
        default="off",
        description="Whether clients have to show a certificate: `off` asks for none, `request` takes one where there "
        "is one, `require` ends the handshake of a client without. Servers are told by `X-Client-Cert-Verified`, "
        "`-Subject` and `-Fingerprint`, which no client can say itself.",
        examples=["require"],
    )
    client_ca: OptionalPath = Field(
        default=None,
        description="The file with the authorities whose client certificates are valid, as PEM.",
        examples=["/etc/l7/clients.pem"],
    )
    acme: Annotated[Acme | None, BeforeValidator(unless_off), _UNLESS_OFF] = Field(
        default=None,
        description="Certificates that l7 obtains and renews itself, by ACME and its challenges over HTTP. Without "
        "`listeners`, l7 listens on port 80 for these and for redirects, and on 443 with TLS for everything. It needs "
        "`pip install 'l7[acme]'`.",
        examples=["{email: me@example.com}"],
    )

    @property
    def has_certificates(self) -> bool:
        """Whether there are certificates to show, from files or by ACME."""
        return bool(self.certificates) or self.acme is not None
