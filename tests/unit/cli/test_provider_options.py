"""What `jobstream web --oidc-…` makes of its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from jobstream.cli.provider_options import provider_of, provider_options
from jobstream.errors import ConfigError
from jobstream.web.callers import TokenRole

if TYPE_CHECKING:
    from pathlib import Path

ISSUER = ("--oidc-issuer", "https://id.example.com", "--oidc-role", "ops=operate")


def read(*arguments: str, **variables: str) -> Any:  # noqa: ANN401 - what the options say
    found: list[Any] = []

    @click.command()
    @provider_options
    def command(**given: Any) -> None:  # noqa: ANN401 - as above
        found.append(provider_of(given))

    CliRunner().invoke(command, arguments, env=variables, catch_exceptions=False)
    return found[0]


def test_without_an_issuer_there_is_no_provider() -> None:
    assert read() is None


def test_options_and_variables_name_the_provider(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")

    found = read(
        *ISSUER, "--oidc-client-id", "pages", "--oidc-client-secret-file", f"{tmp_path}/secret",
        JOBSTREAM_OIDC_AUDIENCE="jobs-api",
    )  # fmt: skip

    assert (found.issuer, found.audience) == ("https://id.example.com", "jobs-api")
    assert (found.client_id, found.client_secret) == ("pages", "s3cret")
    assert found.roles == {"ops": TokenRole.OPERATE}
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--oidc-audience", "a"), "--oidc-audience needs --oidc-issuer"),
        (("--oidc-role", "ops=read"), "--oidc-role needs --oidc-issuer"),
        (ISSUER, "audience"),
        ((*ISSUER[:2], "--oidc-audience", "a"), "is given a role"),
        ((*ISSUER, "--oidc-role", "x", "--oidc-audience", "a"), "VALUE=ROLE"),
    ],
)
def test_options_that_do_not_fit_are_refused(given: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(*given)
