"""What a server allows: token, hosts, origins, sizes, rates and times; and how it says no."""

from __future__ import annotations

import hmac
import time
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from starlette.exceptions import HTTPException

from entrain.turn import Record

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


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


def bearer(authorization: str | None) -> str | None:
    kind, _, token = (authorization or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


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
