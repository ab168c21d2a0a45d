"""The guard before everything that is served: who may ask, how often, and how large a body may be."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import anyio

from entrain.limits import Limits, Rate, Refusal, bearer

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

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
