"""Who may ask, and how much: token, hosts, origins, sizes and rates. One guard stands before everything that is served."""

from __future__ import annotations

import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import anyio
from pydantic import Field, field_validator
from starlette.exceptions import HTTPException

from entrain.turn import Record

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
CLIENTS = 10_000  # whose rates are kept in mind
HEADERS = {
    "content-security-policy": "default-src 'self'; worker-src 'self' blob:; media-src 'self' blob:; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cache-control": "no-store",  # voices are personal data
}


class Refusal(HTTPException):
    """The request is not done; `code` is for programs, the message says what is allowed and what to do. (FastAPI swallows all but
    its own kind of exception while it reads a body.)"""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, message)
        self.status, self.code, self.message = status, code, message

    @property
    def body(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.code, "message": self.message}}


class Limits(Record):
    """What the server allows. Seconds, bytes, counts."""

    token: str | None = Field(default=None, min_length=16)
    """Everything but `/healthz` and the page's files needs it, if set."""
    hosts: frozenset[str] = LOOPBACK
    """Names in the Host header that are answered (a page elsewhere may have its name point here); empty: any."""
    origins: frozenset[str] = frozenset()
    """Pages from elsewhere that may ask, as in "https://clinic.example"."""
    body_bytes: int = Field(default=20_000_000, gt=0)
    body_s: float = Field(default=30, gt=0)
    """A body that takes longer to come is not waited for."""
    turn_s: float = Field(default=120, gt=0)
    requests_per_s: float = Field(default=50, gt=0)
    """Of one client; twice as many at once."""
    conversations: int = Field(default=1_000, gt=0)
    """In memory; with a store the longest unused make room."""
    idle_s: float = Field(default=1_800, gt=0)
    """After this a conversation leaves memory; without a store it is then gone."""
    wait_s: float = Field(default=10, gt=0)
    """How long a request waits for another of the same conversation."""
    live: int = Field(default=32, gt=0)
    """Live sessions at once."""
    hello_s: float = Field(default=5, gt=0)
    send_s: float = Field(default=10, gt=0)
    """A client that takes no more for so long is left."""
    session_s: float = Field(default=7_200, gt=0)
    message_bytes: int = Field(default=2_000_000, gt=0)
    """Of one WebSocket message."""

    @field_validator("origins")
    @classmethod
    def _whole(cls, origins: frozenset[str]) -> frozenset[str]:
        for origin in origins:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
                raise ValueError(f"{origin!r} is no origin; one like https://clinic.example is needed.")
        return origins

    def knows(self, token: str | None) -> bool:
        """Whether this is the token (or none is needed), in constant time."""
        return self.token is None or hmac.compare_digest((token or "").encode(), self.token.encode())


class Rate:
    """A bucket of `burst` that fills by `per_s`."""

    def __init__(self, per_s: float, burst: float) -> None:
        self.per_s, self.burst, self.left, self.at_s = per_s, burst, burst, time.monotonic()

    def take(self, amount: float = 1) -> bool:
        now_s = time.monotonic()
        self.left = min(self.burst, self.left + (now_s - self.at_s) * self.per_s)
        self.at_s = now_s
        if self.left < amount:
            return False
        self.left -= amount
        return True


class Guard:
    """ASGI middleware that lets through what `Limits` allow. `public` are the paths that need no token."""

    def __init__(
        self, app: App, limits: Limits, public: frozenset[str], refused: Callable[[str], None]
    ) -> None:
        self.app, self.limits, self.public, self.refused = app, limits, public, refused
        self._rates: OrderedDict[str, Rate] = OrderedDict()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        try:
            self._check(
                scope, {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            )
        except Refusal as refusal:
            self.refused(refusal.code)
            return await _refuse(scope, send, refusal)
        if scope["type"] == "http":
            return await self.app(scope, self._bounded(receive), _with_headers(send))
        return await self.app(scope, receive, send)

    def _check(self, scope: Message, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        allowed = self.limits.hosts | {urlsplit(origin).hostname for origin in self.limits.origins}
        if self.limits.hosts and name not in allowed:
            raise Refusal(
                421, "host", "This server does not go by that name; ask for it by the address it listens on."
            )
        origin = headers.get("origin")
        if origin and origin not in self.limits.origins and urlsplit(origin).netloc != host:
            raise Refusal(
                403, "origin", "Pages of that origin may not ask; its operator can allow it: --origin."
            )
        if not self._rate(scope).take():
            raise Refusal(
                429, "rate", f"More than {self.limits.requests_per_s:g} requests a second; wait a little."
            )
        if scope["type"] != "http":
            return  # a WebSocket's token comes in its hello: browsers can't send it here
        if scope["path"] not in self.public and not self.limits.knows(bearer(headers.get("authorization"))):
            raise Refusal(
                401, "unauthorized", "The token is missing or wrong; send it as Authorization: Bearer TOKEN."
            )
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limits.body_bytes:
            raise self._too_large()

    def _rate(self, scope: Message) -> Rate:
        client = str((scope.get("client") or ("",))[0])
        per_s = self.limits.requests_per_s
        rate = self._rates.setdefault(client, Rate(per_s, 2 * per_s))
        self._rates.move_to_end(client)
        if len(self._rates) > CLIENTS:
            self._rates.popitem(last=False)
        return rate

    def _bounded(self, receive: Receive) -> Receive:
        """`receive` that counts what really comes, and waits only so long for it."""
        n_bytes, until_s, whole = 0, anyio.current_time() + self.limits.body_s, False

        async def counted() -> Message:
            nonlocal n_bytes, whole
            if whole:
                return await receive()  # waits for the client to leave
            with anyio.move_on_at(until_s):
                message = await receive()
                n_bytes += len(message.get("body", b""))
                whole = not message.get("more_body")
                if n_bytes > self.limits.body_bytes:
                    self.refused("too_large")
                    raise self._too_large()
                return message
            self.refused("too_slow")
            raise Refusal(408, "too_slow", f"The body did not come within {self.limits.body_s:g} s.")

        return counted

    def _too_large(self) -> Refusal:
        return Refusal(
            413, "too_large", f"At most {self.limits.body_bytes} bytes are taken; send shorter turns."
        )


def bearer(authorization: str | None) -> str | None:
    kind, _, token = (authorization or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name for name, _ in message["headers"]}
            more = [
                (name.encode(), value.encode())
                for name, value in HEADERS.items()
                if name.encode() not in there
            ]
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return sent


async def _refuse(scope: Message, send: Send, refusal: Refusal) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before it is accepted: 403
        return
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.status == 429:
        headers.append((b"retry-after", b"1"))
    await _with_headers(send)({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(refusal.body).encode()})
