"""The part of the schema below `tls`: certificates, and what all listeners with TLS have that do not say otherwise."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from l7.config.model import BeforeValidator, Field, model_validator
from l7.config.section import Section
from l7.config.values import jsontypes, scalars
from l7.config.values.scalars import Flag, Form

CertificatePath = Annotated[str, BeforeValidator(scalars.path), Form("path", schema=jsontypes.PATH)]
OptionalPath = Annotated[str | None, BeforeValidator(scalars.optional_path), Form("path", schema=jsontypes.PATH)]


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
