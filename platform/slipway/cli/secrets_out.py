"""Take secrets out of text: those this installation is known to have, and what looks like one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

REMOVED = "[removed]"
#: Files of the home that are secrets as a whole, and one whose values are.
_KEY_FILES, _ENV_FILES = ("secret-key", "audit-key", "seal-key", "setup-code"), ("demo.env",)
_NAMED = re.compile(r"SECRET|TOKEN|PASSWORD|CREDENTIAL|(^|_)KEYS?($|_)", re.IGNORECASE)
#: Keys and tokens by their form, credentials in addresses, and values named like secrets.
_SHAPES = re.compile(
    r"(?P<token>\b(?:sk-slip|scim-slip)-[\w-]{8,}|\bwhsec_[\w+/=-]{8,}|\beyJ[\w-]+\.[\w-]+\.[\w-]*)"
    r"|(?P<pem>-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----)"
    r"|(?P<before_bearer>\b(?:Bearer|Basic)\s+)[\w.~+/=-]{6,}"
    r"|(?P<before_user>\b[a-z][a-z0-9+.-]*://)[^\s/@\"']+(?=@)"
    r"|(?P<before_query>\bhttps?://[^\s?#\"']+\?)[^\s\"']+"
    r"|(?P<before_value>[\"']?\b\w*(?:password|passphrase|passcode|secret|signature|credential)\w*"
    r"[\"']?\s*[:=]\s*[\"']?)[^\s\"',;}]+",
    re.IGNORECASE | re.DOTALL,
)


def known(home: Path, environment: Mapping[str, str]) -> list[str]:
    """Secrets of this installation: key files, values of variables, passwords in addresses."""
    found: set[str] = set()
    for name in _KEY_FILES:
        if (home / name).is_file():
            found.add((home / name).read_text(errors="replace").strip())
    values = dict(environment)
    for name in _ENV_FILES:
        if (home / name).is_file():
            lines = (home / name).read_text(errors="replace").splitlines()
            values |= dict(line.partition("=")[::2] for line in lines)
    for name, value in values.items():
        # A path named like a secret is where one is, not what it is.
        if _NAMED.search(name) and not Path(value).is_absolute():
            found.add(value.strip().strip("\"'"))
        if "://" in value and (password := _password(value)):
            found |= {password, unquote(password)}
    # Shorter ones would blacken words; none that is any good is so short.
    return sorted((one for one in found if len(one) >= 6), key=len, reverse=True)


def _password(address: str) -> str:
    try:
        return urlsplit(address).password or ""
    except ValueError:
        return ""


def clean(text: str, secrets: Iterable[str]) -> str:
    """The text without any of them."""
    for secret in secrets:
        text = text.replace(secret, REMOVED)
    return _SHAPES.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    kept = [value for name, value in match.groupdict().items() if name.startswith("before_")]
    return "".join(filter(None, kept)) + REMOVED


def environment() -> dict[str, str]:
    """What of the environment is ours."""
    return {k: v for k, v in os.environ.items() if k.startswith("SLIPWAY_") or k == "PORT"}
