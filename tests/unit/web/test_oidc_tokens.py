"""Tokens of an identity provider at the API, by a real provider on the loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from tests.harness.identity_provider import AUDIENCE, CLIENT, IdentityProvider, identity_provider
from tests.harness.web_calls import WebSide, without_work

from jobstream.errors import ConfigError
from jobstream.web.api_route import V1
from jobstream.web.callers import TokenRole
from jobstream.web.oidc import Oidc
from jobstream.web.oidc_keys import FRESH_S, PAUSE_S, USABLE_S, KeyRing
from jobstream.web.oidc_options import OidcOptions, read_roles
from jobstream.web.oidc_provider import Provider, ProviderAway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx2

LIMIT_S = 60
PAGE = f"{V1}/overview"
ROLES = {"ops": TokenRole.OPERATE, "viewers": TokenRole.READ}


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as found:
        yield found


@pytest.fixture
def served(tmp_path: Path, provider: IdentityProvider) -> WebSide:
    return served_by(tmp_path, provider)


def served_by(folder: Path, provider: IdentityProvider, **more: Any) -> WebSide:  # noqa: ANN401
    options = OidcOptions(
        **{
            "issuer": provider.issuer,
            "audience": AUDIENCE,
            "roles": ROLES,
            "timeout_s": LIMIT_S,
            **more,
        }
    )
    return WebSide(folder, routes=without_work(), oidc=options)


def ask(served: WebSide, token: str, method: str = "GET", path: str = PAGE) -> httpx2.Response:
    return served.ask(method, path, headers={"Authorization": f"Bearer {token}"})


def test_token_of_the_provider_has_the_roles_of_its_claim(
    served: WebSide, provider: IdentityProvider
) -> None:
    pause = f"{V1}/queues/mail/pause"
    viewer = provider.token(roles=["viewers", "unknown"])

    assert ask(served, provider.token()).json()["who"] == "oidc:u-17"
    assert ask(served, provider.token(), "POST", pause).status_code == 200
    assert ask(served, viewer).status_code == 200
    assert ask(served, viewer, "POST", pause).json()["needs"] == "operate"
    assert provider.asked["/keys"] == 1


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("roles", {"roles": "viewers other"}),
        ("realm.roles", {"realm": {"roles": ["viewers"]}}),
        ("https://example.com/roles", {"https://example.com/roles": ["viewers"]}),
    ],
)
def test_claim_is_a_list_or_words_at_any_place(
    tmp_path: Path, provider: IdentityProvider, claim: str, claims: dict[str, Any]
) -> None:
    served = served_by(tmp_path, provider, roles_claim=claim, name_claim="email")

    answer = ask(served, provider.token(**{"roles": None, **claims}))

    assert answer.json()["who"] == "oidc:ann@example.com"


@pytest.mark.parametrize("roles", [None, [], ["other"], {"ops": True}, 7, [["ops"]]])
def test_token_without_a_role_here_is_refused_with_the_claims_name(
    served: WebSide, provider: IdentityProvider, roles: object
) -> None:
    answer = ask(served, provider.token(roles=roles))

    assert answer.status_code == 403
    assert "'roles'" in answer.json()["detail"]


def unsigned(provider: IdentityProvider) -> str:
    return jwt.encode({**decoded(provider)}, "", "none", {"kid": provider.key_id})


def decoded(provider: IdentityProvider) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(provider.token(), options={"verify_signature": False})
    return claims


def signed_with_the_public_key(provider: IdentityProvider) -> str:
    """What a checker accepts that takes the algorithm from the token."""

    def part(document: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")

    text = f"{part({'alg': 'HS256', 'kid': provider.key_id})}.{part(decoded(provider))}"
    mark = hmac.new(provider.public_pem, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mark).decode().rstrip('=')}"


def changed(provider: IdentityProvider) -> str:
    head, _, mark = provider.token(roles=["viewers"]).split(".")
    return f"{head}.{provider.token().split('.')[1]}.{mark}"


def of_another_key(provider: IdentityProvider) -> str:
    with identity_provider() as other:
        other.issuer = provider.issuer
        return other.token(key_id=provider.key_id)


WRONG: dict[str, Callable[[IdentityProvider], str]] = {
    "unsigned": unsigned,
    "HS256 by the public key": signed_with_the_public_key,
    "changed": changed,
    "of another key": of_another_key,
    "for another audience": lambda it: it.token(aud="another-api"),
    "for the pages alone": lambda it: it.token(aud=CLIENT),
    "without an audience": lambda it: it.token(aud=None),
    "of another issuer": lambda it: it.token(iss="https://evil.example"),
    "expired": lambda it: it.token(exp=int(time.time()) - 60),
    "without an end": lambda it: it.token(exp=None),
    "not yet": lambda it: it.token(nbf=int(time.time()) + 600),
    "without a subject": lambda it: it.token(sub=None),
    "far too long": lambda it: it.token(filler="x" * 20_000),
    "an end that is no time": lambda it: it.token(exp="soon"),
    "no token": lambda _: "a.b.c",
    "no text": lambda _: "eyJhbGciOiJSUzI1NiJ9.e30.",
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_token_is_refused(served: WebSide, provider: IdentityProvider, kind: str) -> None:
    answer = ask(served, WRONG[kind](provider))

    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_clocks_may_be_apart_by_the_leeway(served: WebSide, provider: IdentityProvider) -> None:
    assert ask(served, provider.token(exp=int(time.time()) - 10)).status_code == 200


def test_new_key_is_taken_once_the_pause_is_over(
    served: WebSide, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock(served, monkeypatch)
    old = provider.token()
    assert ask(served, old).status_code == 200
    provider.rotate()

    assert ask(served, provider.token()).status_code == 401
    now[0] += PAUSE_S
    assert ask(served, provider.token()).status_code == 200
    assert ask(served, old).status_code == 401


def test_flood_of_unknown_keys_leads_to_one_fetch(
    served: WebSide, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock(served, monkeypatch)
    ask(served, provider.token())
    now[0] += PAUSE_S

    for number in range(40):
        assert ask(served, provider.token(key_id=f"k-{number}")).status_code == 401

    assert provider.asked["/keys"] == 2
    assert ask(served, provider.token()).status_code == 200


def test_keys_live_on_while_the_provider_is_away_and_not_for_ever(
    served: WebSide, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock(served, monkeypatch)
    ask(served, provider.token())
    provider.is_away = True

    now[0] += FRESH_S
    assert ask(served, provider.token()).status_code == 200
    now[0] += USABLE_S
    answer = ask(served, provider.token())

    assert answer.status_code == 503
    assert answer.json()["type"].endswith("provider-away")
    assert int(answer.headers["retry-after"]) > 0


def test_provider_that_never_answered_is_told_apart_from_a_wrong_token(
    served: WebSide, provider: IdentityProvider
) -> None:
    provider.is_away = True

    assert ask(served, provider.token()).status_code == 503


def test_provider_that_does_not_speak_http_is_away(
    served: WebSide, provider: IdentityProvider
) -> None:
    provider.is_babbling = True

    assert ask(served, provider.token()).status_code == 503


def test_description_names_the_provider(served: WebSide, provider: IdentityProvider) -> None:
    document = ask(served, provider.token(), path=f"{V1}/openapi.json").json()

    scheme = document["components"]["securitySchemes"]["provider"]
    assert scheme["openIdConnectUrl"] == f"{provider.issuer}/.well-known/openid-configuration"
    assert {"provider": []} in document["security"]


def test_provider_that_says_to_be_another_gives_no_keys(
    served: WebSide, provider: IdentityProvider
) -> None:
    provider.issuer_said = "https://evil.example"

    assert ask(served, provider.token()).status_code == 503
    assert provider.asked["/keys"] == 0


def test_tokens_of_the_file_go_on_beside_it_and_the_loopback_is_not_open(
    served: WebSide, provider: IdentityProvider
) -> None:
    assert served.ask("GET", PAGE).status_code == 401

    own = served.tokens.add("ci", {TokenRole.READ})

    assert provider.asked["/keys"] == 0
    assert ask(served, own).status_code in {200, 401}


def clock(served: WebSide, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the keys go by."""
    now = [1_000.0]
    assert isinstance(served.desk.oidc, Oidc)
    monkeypatch.setattr(served.desk.oidc, "_ring", KeyRing(lambda: now[0]))
    return now


def test_key_is_for_the_algorithm_that_it_names(provider: IdentityProvider) -> None:
    ring = KeyRing()
    ring.take(provider.keys())

    assert ring.key(provider.key_id, "RS256") is not None
    assert ring.key(provider.key_id, "PS256") is None
    assert ring.key(provider.key_id, "ES256") is None
    assert ring.key(provider.key_id, "HS256") is None
    assert ring.key(None, "RS256") is not None
    assert ring.key("other", "RS256") is None


def test_keys_that_are_no_keys_are_left_out(provider: IdentityProvider) -> None:
    ring = KeyRing()
    sound = provider.keys()["keys"][0]

    ring.take({"keys": [7, {}, {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}, {**sound, "n": 1},
                        {**sound, "use": "enc", "kid": "e"}, sound]})  # fmt: skip

    assert ring.key(provider.key_id, "RS256") is not None
    assert ring.key("s", "HS256") is None
    assert ring.key("e", "RS256") is None
    ring.take({"keys": "none"})
    assert ring.key(provider.key_id, "RS256") is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"issuer": "http://id.example.com"}, "https://"),
        ({"issuer": "file:///etc/passwd"}, "https://"),
        ({"audience": ""}, "audience"),
        ({"roles": {}}, "role"),
        ({"algorithms": ("HS256",)}, "HS256"),
        ({"algorithms": ("none",)}, "none"),
    ],
)
def test_options_that_cannot_be_right_are_refused(wrong: dict[str, Any], words: str) -> None:
    sound = {"issuer": "https://id.example.com", "audience": "a", "roles": ROLES}

    with pytest.raises(ConfigError, match=words):
        OidcOptions(**{**sound, **wrong})


def test_roles_are_read_from_texts() -> None:
    assert read_roles(("a=b=admin", "ops=operate")) == {
        "a=b": TokenRole.ADMIN, "ops": TokenRole.OPERATE,
    }  # fmt: skip
    for wrong in ("ops", "=read", "ops=root"):
        with pytest.raises(ConfigError, match="VALUE=ROLE"):
            read_roles((wrong,))


@pytest.mark.parametrize("head", ["200 OK", "500 Internal Server Error"])
def test_a_provider_that_stops_in_the_middle_is_away(head: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        options = OidcOptions(address, audience=AUDIENCE, roles=ROLES, timeout_s=0.2)

        def answer() -> None:
            client, _ = listening.accept()
            client.recv(65_536)
            client.sendall(f"HTTP/1.1 {head}\r\nContent-Length: 100\r\n\r\n{{".encode())
            stopped.wait(LIMIT_S)
            client.close()

        stopped = threading.Event()
        serving = threading.Thread(target=answer)
        serving.start()
        try:
            with pytest.raises(ProviderAway, match="does not answer"):
                Provider(options).discover()
        finally:
            stopped.set()
            serving.join(LIMIT_S)
