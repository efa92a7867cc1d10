"""A real little OpenID Connect provider on loopback: it signs what it is told to say, and checks what it is asked.

No test lives here; who it says somebody is, is the test's to set.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT, SECRET = "countersign", "the client's secret"
SHARED = OctKey.import_key("a secret that is none, for all can read it", {"kid": "secret", "alg": "HS256"})


@dataclass
class Provider:
    """`claims` go into the id_token, `told` into userinfo (the same where not set); the rest are ways to misbehave."""

    url: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] | None = None
    issuer: str = ""  # what it calls itself, where that is not its address
    audience: str = CLIENT
    algorithm: str = "RS256"
    expires_in: int = 300
    published_secret: bool = False  # signs with a shared secret, and publishes that
    foreign_key: bool = False  # signs with a key that it does not publish
    without_id_token: bool = False
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256", "use": "sig"}))
    asked: dict[str, dict[str, str]] = field(default_factory=dict)  # code → the query it was given for
    problems: list[str] = field(default_factory=list)

    def send_back(self, location: str) -> str:
        """What a person's browser does there: it is asked by `location`, and this is the query it comes back with."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        code = f"code-{len(self.asked)}"
        self.asked[code] = query
        return f"code={code}&state={query['state']}"

    def signed(self) -> str:
        """The id_token."""
        now = int(time.time())
        body = {
            "iss": self.issuer or self.url,
            "aud": self.audience,
            "iat": now,
            "exp": now + self.expires_in,
            **self.claims,
        }
        if self.algorithm == "none":
            parts = [json.dumps(part).encode() for part in ({"alg": "none", "kid": "one"}, body)]
            return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."
        if self.published_secret:
            return jwt.encode({"alg": "HS256", "kid": "secret"}, body, SHARED)
        if self.algorithm == "HS256":  # the public key, used as a secret
            return jwt.encode({"alg": "HS256", "kid": "one"}, body, OctKey.import_key(self.key.as_pem(private=False)))
        key = RSAKey.generate_key(2048, {"kid": "one"}) if self.foreign_key else self.key
        return jwt.encode({"alg": self.algorithm, "kid": "one"}, body, key)

    def answer(self, path: str, form: dict[str, str], authorization: str) -> Any:
        """The JSON of an endpoint; None for 400."""
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.issuer or self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "jwks_uri": f"{self.url}/jwks",
            }
        if path == "/jwks":
            shared = [SHARED.as_dict(private=True)] if self.published_secret else []
            return {"keys": [self.key.as_dict(private=False), *shared]}
        if path == "/userinfo":
            return (self.claims if self.told is None else self.told) if authorization == "Bearer access" else None
        asked = self.asked.pop(form.get("code", ""), None)  # a code is good once
        if asked is None or (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            self.problems.append("code or client")
            return None
        made = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if asked.get("code_challenge_method") != "S256" or asked.get("code_challenge") != made.decode().rstrip("="):
            self.problems.append("PKCE")
            return None
        token = {"access_token": "access", "token_type": "Bearer", "expires_in": 300}
        return token if self.without_id_token else {**token, "id_token": self.signed()}


@contextmanager
def providing() -> Iterator[Provider]:
    """A provider until the block ends."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self, form: dict[str, str]) -> None:
            found = provider.answer(urlsplit(self.path).path, form, self.headers.get("Authorization", ""))
            body = json.dumps(found if found is not None else {"error": "invalid_grant"}).encode()
            self.send_response(200 if found is not None else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._serve({})

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            self._serve({name: values[0] for name, values in parse_qs(text).items()})

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
