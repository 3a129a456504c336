"""Signing on by OpenID Connect: authorization code with PKCE, state and nonce (RFC 9700).

Every ID token's signature is checked against the provider's published keys, also when it came over
TLS from the provider itself; keys that are not known are looked up anew, as they rotate.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import jwt

from slipway.core import outward
from slipway.tenancy.models import IdentityProvider
from slipway.tenancy.services.signon import published
from slipway.tenancy.services.signon.seen import ProviderDown, Seen, Untrusted, secret_of, texts

#: Signatures with public keys only: none with a shared secret, and never none at all.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
               "EdDSA"]  # fmt: skip
_LEEWAY_SECONDS = 60
#: A key that is not known makes us look again, but not more often than this.
_LOOK_AGAIN_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class Begun:
    """What a browser's session keeps between leaving for the provider and coming back."""

    provider: str
    state: str
    nonce: str
    verifier: str

    @classmethod
    def fresh(cls, provider: IdentityProvider) -> Begun:
        return cls(
            provider=str(provider.pk),
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
        )


def leave_for(
    provider: IdentityProvider, begun: Begun, *, redirect_uri: str, hint: str = "", anew: bool
) -> str:
    """Where to send the browser; `anew` has the person asked for credentials again.

    Raises ProviderDown where its description cannot be had.
    """
    challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest())
    asked = {
        "response_type": "code",
        "client_id": provider.settings["client_id"],
        "redirect_uri": redirect_uri,
        "scope": " ".join(["openid", *provider.settings.get("scopes", ["profile", "email"])]),
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": challenge.decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    if hint:
        asked["login_hint"] = hint
    if anew:
        asked |= {"prompt": "login", "max_age": "0"}
    address = str(described(provider)["authorization_endpoint"])
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"


def come_back(
    provider: IdentityProvider,
    begun: Begun,
    *,
    code: str,
    issuer: str,
    redirect_uri: str,
    anew: bool,
) -> Seen:
    """Who the provider says it is, for the code that the browser brought.

    `issuer` is the answer's `iss` (RFC 9207), empty where there was none. Raises Untrusted for
    whatever does not hold, ProviderDown where the provider does not answer.
    """
    told = described(provider)
    if issuer and issuer != told["issuer"]:
        raise Untrusted("the answer comes from another provider than the one that was asked")
    tokens = _exchange(provider, told, code, begun.verifier, redirect_uri)
    claims = _checked(provider, told, str(tokens.get("id_token", "")), begun.nonce)
    if anew and time.time() - int(claims.get("auth_time", 0)) > _LEEWAY_SECONDS:
        raise Untrusted("the provider did not ask the person again")
    if "userinfo_endpoint" in told and "access_token" in tokens:
        claims = _userinfo(told, str(tokens["access_token"]), claims["sub"]) | claims
    claim = provider.settings.get("groups_claim", "groups")
    return Seen(
        subject=str(claims["sub"]),
        email=str(claims.get("email", "")),
        email_verified=claims.get("email_verified") is True,
        name=str(claims.get("name", "")),
        groups=frozenset(texts(claims.get(claim))),
    )


def described(provider: IdentityProvider) -> dict[str, Any]:
    """What the provider says of itself (OpenID Connect Discovery 1.0). ProviderDown if nothing."""
    issuer = str(provider.settings["issuer"])
    told = published.kept.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    # A trailing slash is easily forgotten, and no other server's.
    if str(told.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
        raise ProviderDown(f"{issuer} describes another issuer: {told.get('issuer')!r:.200}")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not isinstance(told.get(name), str):
            raise ProviderDown(f"{issuer} names no {name}")
    return told


def _exchange(
    provider: IdentityProvider, told: dict[str, Any], code: str, verifier: str, redirect_uri: str
) -> dict[str, Any]:
    client, secret = str(provider.settings["client_id"]), secret_of(provider)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    methods = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if not secret:
        form["client_id"] = client
    elif "client_secret_basic" in methods or "client_secret_post" not in methods:
        pair = f"{quote(client, safe='')}:{quote(secret, safe='')}"
        headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    else:
        form |= {"client_id": client, "client_secret": secret}
    url = str(told["token_endpoint"])
    answer = published.ask("POST", url, headers=headers, body=urlencode(form).encode())
    if 400 <= answer.status < 500:
        raise Untrusted(f"the provider does not take the code: {_error_of(answer)}")
    return published.json_object(answer, url)


def _checked(
    provider: IdentityProvider, told: dict[str, Any], token: str, nonce: str
) -> dict[str, Any]:
    """The claims of an ID token; Untrusted unless all of OpenID Connect Core §3.1.3.7 holds."""
    client = provider.settings["client_id"]
    try:
        key = _key(str(told["jwks_uri"]), jwt.get_unverified_header(token))
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=_ALGORITHMS, audience=client, issuer=told["issuer"],
            leeway=_LEEWAY_SECONDS, options={"require": ["exp", "iat", "sub", "aud", "iss"]},
        )  # fmt: skip
    except jwt.PyJWTError as error:
        raise Untrusted(f"the identity token does not hold: {error}") from error
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (several or "azp" in claims) and claims.get("azp") != client:
        raise Untrusted("the identity token was made for another client")
    if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise Untrusted("the identity token answers another sign-on")
    return claims


def _key(jwks_uri: str, header: dict[str, Any]) -> Any:
    if header.get("alg") not in _ALGORITHMS:
        raise Untrusted(f"the identity token is signed by {str(header.get('alg'))[:20]!r}")
    for younger in (published.KEPT_SECONDS, _LOOK_AGAIN_SECONDS):
        known = published.kept.get(jwks_uri, younger_than_seconds=younger).get("keys", [])
        fitting = [
            each for each in known
            if each.get("use", "sig") == "sig" and each.get("kid") == header.get("kid")
        ]  # fmt: skip
        if fitting:
            return jwt.PyJWK(fitting[0], algorithm=fitting[0].get("alg", header["alg"]))
    raise Untrusted(f"the provider publishes no key {str(header.get('kid'))[:80]!r}")


def _userinfo(told: dict[str, Any], access_token: str, subject: str) -> dict[str, Any]:
    url = str(told["userinfo_endpoint"])
    answer = published.ask("GET", url, headers={"authorization": f"Bearer {access_token}"})
    if answer.status != 200:
        return {}
    found = published.json_object(answer, url)
    if found.get("sub") != subject:
        raise Untrusted("the provider answers for somebody else than the identity token names")
    return found


def _error_of(answer: outward.Answer) -> str:
    try:
        return str(json.loads(answer.body)["error"])[:100]
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status}"
