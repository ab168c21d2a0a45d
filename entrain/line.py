"""The line to one live client: messages in, checked and not too many; messages and sound out, in order and not too late."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

import anyio
import numpy as np
from fastapi import WebSocket, WebSocketDisconnect
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from entrain.audio import Audio
from entrain.limits import Limits, Rate, Refusal
from entrain.wishes import WISH, Wish

T = TypeVar("T")
Samples = NDArray[np.float32]  # (N,)

FASTER, BURST_S = 2.0, 4.0  # than real time a client may send, and so much at once: what a browser kept back
WISHES_PER_S = 60
MAX_WAITING = 500  # messages that are not sent yet, 10 s of sound
SKIPPED = ("meters", "partial")  # when they wait long: the next says it better
CLOSES = {"unauthorized": 1008, "rate": 1008, "slow": 1008, "invalid": 1007, "closing": 1012, "full": 1013}


class Line:
    """One WebSocket. `tell` may be called from any thread; what is told is sent by `send`, which must be running."""

    def __init__(self, websocket: WebSocket, limits: Limits) -> None:
        self.websocket, self.limits, self.rate_hz = websocket, limits, 0
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._told_odd = False

    async def first(self, kind: TypeAdapter[T]) -> T:
        """The first message. Raises `Refusal`, also when it does not come soon."""
        with anyio.move_on_after(self.limits.hello_s):
            return self._checked(kind, await self._receive())
        raise Refusal(408, "slow", f"The first message is hello, within {self.limits.hello_s:g} s.")

    async def incoming(self) -> AsyncGenerator[Samples | Wish]:
        """What the client sends, until it says bye or goes. Raises `Refusal` for nonsense, and for too much."""
        sound, wishes = Rate(FASTER, BURST_S), Rate(WISHES_PER_S, 2 * WISHES_PER_S)
        while (message := await self._receive()) is not None:
            if isinstance(message, str):
                if not wishes.take():
                    raise Refusal(429, "rate", f"More than {WISHES_PER_S} messages a second.")
                yield self._checked(WISH, message)
            elif len(message) % 2:
                self._tell_odd(len(message))
            else:
                if not sound.take(len(message) / 2 / self.rate_hz):
                    raise Refusal(429, "rate", f"More than {FASTER:g} s of sound a second, for long.")
                yield Audio.from_pcm16(message, self.rate_hz).samples

    async def send(self) -> None:
        """Send what is told, for ever. Raises `Refusal` when the client takes nothing any more."""
        while True:
            message = await self._waiting.get()
            try:
                with anyio.fail_after(self.limits.send_s):
                    await self._send(message)
            except TimeoutError:
                raise Refusal(408, "slow", "The client takes nothing any more.") from None
            if self._waiting.qsize() > MAX_WAITING:
                raise Refusal(408, "slow", "The client takes too little.")

    def tell(self, kind: str, **data: Any) -> None:
        """A text message, from any thread; the loop may be gone already."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._put, kind, json.dumps({"type": kind, **data}))

    def play(self, samples: Samples) -> None:
        """Sound `(N,)`; from the event loop only."""
        pcm = np.clip(samples * 32768, -32768, 32767).astype("<i2")
        self._waiting.put_nowait(pcm.tobytes())

    async def close(self, why: Refusal | None = None) -> None:
        """Say why, and hang up; quick, and whatever state the line is in."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            try:
                if why:
                    await self._send(json.dumps({"type": "error", **why.body["error"]}))
                await self.websocket.close(CLOSES.get(why.code, 1000) if why else 1000)
            except (RuntimeError, WebSocketDisconnect):
                pass  # it is closed already

    def _put(self, kind: str, text: str) -> None:
        if kind not in SKIPPED or self._waiting.qsize() < MAX_WAITING // 10:
            self._waiting.put_nowait(text)

    async def _receive(self) -> str | bytes | None:
        """The next message; None when the client is gone."""
        message = await self.websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        return message.get("bytes", b"") if text is None else text

    async def _send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self.websocket.send_text(message)
        else:
            await self.websocket.send_bytes(message)

    def _tell_odd(self, n: int) -> None:
        if not self._told_odd:
            self._told_odd = True
            self.tell(
                "fault",
                step="microphone",
                message=f"{n} bytes are no 16-bit samples; such frames are left out.",
            )

    @staticmethod
    def _checked(kind: TypeAdapter[T], message: str | bytes | None) -> T:
        if message is None:
            raise WebSocketDisconnect
        try:
            return kind.validate_json(message)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise Refusal(422, "invalid", wrong) from error
