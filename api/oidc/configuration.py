"""What the settings say about bearer tokens of an OpenID Connect issuer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from api.auth import Grant, parse_grant

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are taken, and what they allow.

    `names` are the `iss` that a token may have, `subjects` the `sub` or client ids, None for any.
    `grants` are by the values of `claim`; None means that every token has every right.
    """

    url: str
    names: frozenset[str]
    audience: str
    subjects: frozenset[str] | None
    claim: str
    grants: Mapping[str, Grant] | None
    keys_url: str | None


def make_issuer(
    *,
    url: str | None,
    audience: str | None,
    aliases: str,
    subjects: str,
    claim: str,
    grants: str,
    keys_url: str | None,
) -> Issuer | None:
    """The issuer, None if none is configured. Raises ValueError naming the variables, and none of
    their values: without an audience, tokens that were made for others would be taken."""
    others = {
        "STONETOWN_OIDC_ISSUER_ALIASES": aliases,
        "STONETOWN_OIDC_SUBJECTS": subjects,
        "STONETOWN_OIDC_GRANTS": grants,
        "STONETOWN_OIDC_JWKS_URL": keys_url,
    }
    if not url or not audience:
        given = [name for name, value in others.items() if value]
        if url or audience or given:
            raise ValueError(
                "STONETOWN_OIDC_ISSUER and STONETOWN_OIDC_AUDIENCE must both be set"
                + (f", for {given[0]} is" if given and not (url or audience) else "")
            )
        return None
    _check_url(url, "STONETOWN_OIDC_ISSUER")
    if keys_url:
        _check_url(keys_url, "STONETOWN_OIDC_JWKS_URL", query=True)
    return Issuer(
        url,
        frozenset({url, *_listed(aliases)}),
        audience,
        frozenset(_listed(subjects)) or None,
        claim,
        _parse_grants(grants) if _listed(grants) else None,
        keys_url or None,
    )


def _check_url(text: str, name: str, *, query: bool = False) -> None:
    """Raises ValueError unless it is https, or http of this machine."""
    try:
        parts = urlsplit(text)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
        _ = parts.port  # raises for one that is no number
        plain = not (parts.username or parts.password or "#" in text or ("?" in text and not query))
    except ValueError:
        secure = plain = False
    if not (secure and plain and parts.hostname and text.isascii() and text.isprintable()):
        raise ValueError(f"{name}: expected an https URL without user, query or fragment")


def may_fetch(text: str) -> bool:
    """Whether keys may be had from this address, which an issuer named."""
    try:
        _check_url(text, "", query=True)
    except ValueError:
        return False
    return True


def _listed(text: str) -> list[str]:
    return [part for part in map(str.strip, text.split(",")) if part]


def _parse_grants(text: str) -> Mapping[str, Grant]:
    """`value=[store+store…][:right+right…]`, separated by commas. Raises ValueError."""
    grants: dict[str, Grant] = {}
    for position, entry in enumerate(_listed(text), 1):
        which = f"grant {position} of STONETOWN_OIDC_GRANTS"
        value, equals, scope = entry.partition("=")
        stores, _, rights = scope.partition(":")
        if not value or not equals:
            raise ValueError(f"{which}: expected value=[stores][:rights]")
        if value in grants:
            raise ValueError(f"{which}: its value stands twice")
        grants[value] = parse_grant(stores, rights, which)
    return grants
