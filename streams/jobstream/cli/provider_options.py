"""The options of `jobstream web` about an identity provider (OpenID Connect)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream.web.oidc_options import OidcOptions

    _Function = TypeVar("_Function", bound=Callable[..., Any])


def provider_options(function: _Function) -> _Function:
    """Add them to a command."""
    for each in reversed(_OPTIONS):
        function = each(function)
    return function


_OPTIONS = (
    click.option("--oidc-issuer", metavar="URL", envvar="JOBSTREAM_OIDC_ISSUER",
                 help="Trust this OpenID Connect provider beside tokens; needs jobstream[oidc]."),
    click.option("--oidc-audience", metavar="TEXT", default="", envvar="JOBSTREAM_OIDC_AUDIENCE",
                 help="Audience of its tokens for the API.  [default: the API takes none of them]"),
    click.option("--oidc-client-id", metavar="ID", default="", envvar="JOBSTREAM_OIDC_CLIENT_ID",
                 help="Let people sign in to the pages by it, as this client."),
    click.option("--oidc-client-secret-file", metavar="FILE",
                 type=click.Path(path_type=Path, dir_okay=False, exists=True),
                 envvar="JOBSTREAM_OIDC_CLIENT_SECRET_FILE",
                 help="File with the client's secret.  [default: a public client]"),
    click.option("--oidc-role", "oidc_roles", multiple=True, metavar="VALUE=ROLE",
                 help="Role of who has this value in the claim, as in ops=operate; repeatable."),
    click.option("--oidc-roles-claim", default="roles", show_default=True, metavar="CLAIM",
                 envvar="JOBSTREAM_OIDC_ROLES_CLAIM",
                 help="Claim with these values; dots lead into it, as in realm_access.roles."),
    click.option("--oidc-name-claim", default="sub", show_default=True, metavar="CLAIM",
                 envvar="JOBSTREAM_OIDC_NAME_CLAIM",
                 help="Claim that names who acts, in the audit."),
)  # fmt: skip


def provider_of(given: Mapping[str, Any]) -> OidcOptions | None:
    """What the options say; None without an issuer. Raises ConfigError."""
    from jobstream.web.oidc_options import OidcOptions, read_roles  # noqa: PLC0415 - an extra

    if not given["oidc_issuer"]:
        named = ("oidc_audience", "oidc_client_id", "oidc_roles")
        if other := next((name for name in named if given[name]), None):
            message = f"--{other.replace('_', '-').removesuffix('s')} needs --oidc-issuer"
            raise ConfigError(message)
        return None
    secret: Path | None = given["oidc_client_secret_file"]
    return OidcOptions(
        issuer=given["oidc_issuer"],
        audience=given["oidc_audience"],
        client_id=given["oidc_client_id"],
        client_secret=secret.read_text().strip() if secret is not None else "",
        roles=read_roles(given["oidc_roles"]),
        roles_claim=given["oidc_roles_claim"],
        name_claim=given["oidc_name_claim"],
    )
