"""A real OpenID Connect issuer on loopback: it makes keys, publishes them, and signs tokens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

Json = dict[str, Any]
AUDIENCE = "stonetown"


class Signer:
    """One key pair."""

    def __init__(self, name: str, algorithm: str = "RS256", bits: int = 2048) -> None:
        self.name = name
        self.algorithm = algorithm
        made = jwt.get_algorithm_by_name(algorithm)
        self.private: Any
        if algorithm == "RS256":
            self.private = rsa.generate_private_key(65537, bits)
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())
        public = json.loads(made.to_jwk(self.private.public_key()))
        self.published: Json = public | {"kid": name, "use": "sig", "alg": algorithm}


class OidcIssuer:
    """The issuer: `signers` are the keys it publishes. `status` and `body` may be set to answer
    for the keys in another way, and `open` cleared to let them wait."""

    def __init__(self) -> None:
        self.signers = [Signer("first")]
        self.port = 0
        self.asked: list[str] = []
        self.status = 200
        self.body: bytes | None = None
        self.document: Json = {}
        self.open = asyncio.Event()
        self.open.set()

    @property
    def url(self) -> str:
        """The `iss` of its tokens."""
        return f"http://127.0.0.1:{self.port}/tenant"

    def settings(self, **more: Any) -> Json:
        """What makes a server take its tokens."""
        return {"oidc_issuer": self.url, "oidc_audience": AUDIENCE, **more}

    def claims(self, **changes: Any) -> Json:
        """Claims of a good token; a change to None takes one away."""
        now = int(time.time())
        made = {"iss": self.url, "aud": AUDIENCE, "sub": "svc-docs", "iat": now, "exp": now + 300}
        return {name: value for name, value in {**made, **changes}.items() if value is not None}

    def token(
        self, signer: Signer | None = None, headers: Json | None = None, **changes: Any
    ) -> str:
        """A signed token."""
        signer = signer or self.signers[0]
        named = {"kid": signer.name} | (headers or {})
        return jwt.encode(
            self.claims(**changes), signer.private, algorithm=signer.algorithm, headers=named
        )

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, then the connection ends."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            self.asked.append(path)
            status, body = 200, b""
            if path == "/tenant/.well-known/openid-configuration":
                told = {"issuer": self.url, "jwks_uri": f"http://127.0.0.1:{self.port}/keys"}
                body = json.dumps(told | self.document).encode()
            elif path == "/keys":
                await self.open.wait()
                status = self.status
                keys = [signer.published for signer in self.signers]
                body = json.dumps({"keys": keys}).encode() if self.body is None else self.body
            elif path == "/tenant/token":
                body = json.dumps(await self._granted(head, reader)).encode()
            else:
                status = 404
            told_head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n"
            told_head += "Content-Type: application/json\r\n"
            location = "Location: /tenant/keys2\r\n" if status == 302 else ""
            writer.write(f"{told_head}{location}Connection: close\r\n\r\n".encode() + body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _granted(self, head: bytes, reader: asyncio.StreamReader) -> Json:
        """A token for the client that asks by its credentials (RFC 6749 §4.4)."""
        lengths = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
        sent = await reader.readexactly(int(lengths[0].split(b":")[1]))
        fields = {name.decode(): values[0].decode() for name, values in parse_qs(sent).items()}
        token = self.token(sub=fields["client_id"], aud=fields["audience"])
        return {"access_token": token, "token_type": "Bearer", "expires_in": 300}


@contextlib.asynccontextmanager
async def issuing() -> AsyncIterator[OidcIssuer]:
    """An issuer that runs until the block ends."""
    issuer = OidcIssuer()
    server = await asyncio.start_server(issuer.answer, "127.0.0.1", 0)
    issuer.port = server.sockets[0].getsockname()[1]
    async with server:
        yield issuer
        issuer.open.set()
