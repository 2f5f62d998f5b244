"""The part of the schema below `tls` of a backend: how l7 speaks TLS with servers whose address begins `https://`."""

from __future__ import annotations

from typing import Annotated

from l7.config.model import BeforeValidator, Field
from l7.config.section import Section, Switch
from l7.config.values import jsontypes, scalars
from l7.config.values import server_names as own
from l7.config.values.scalars import Form

TlsFile = Annotated[str | None, BeforeValidator(scalars.optional_path), Form("path", schema=jsontypes.PATH)]
ServerName = Annotated[
    str | None, BeforeValidator(own.server_name), Form("name or `'{host}'`", schema=jsontypes.SERVER_NAME)
]


class ServerTls(Section):
    """How l7 speaks TLS with the servers of a backend; those without `https://` are spoken to in clear."""

    verify: Switch = Field(
        default=True,
        description="Whether a server has to show a certificate that is valid, of an authority that is believed, and "
        "for its name. With `false` whoever answers at the address gets the requests.",
        examples=["false"],
    )
    ca: TlsFile = Field(
        default=None,
        description="The file with the authorities that are believed, as PEM; without it, those of the system.",
        examples=["/etc/l7/internal-ca.pem"],
    )
    server_name: ServerName = Field(
        default=None,
        description="The name that a server is asked for (SNI), and that its certificate has to be for; without it, "
        "that of its address. `'{host}'` is the host of each request: connections are kept apart by it then. An IP "
        "address is never asked for, but may be what the certificate is for.",
        examples=["app.internal"],
    )
    cert: TlsFile = Field(
        default=None,
        description="The file of the certificate that l7 shows to servers that want one, with those of its issuers.",
        examples=["/etc/l7/client.crt"],
    )
    key: TlsFile = Field(
        default=None,
        description="The file of its private key; without it the key is in the file of the certificate.",
        examples=["/etc/l7/client.key"],
    )
