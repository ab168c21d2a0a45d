"""The entrain server, asked from Rasa's event loop: every failure is a `Fault`, and none takes longer than it may."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Callable

import aiohttp

from entrain_rasa.turns import Fault

log = logging.getLogger(__name__)
CONNECT_S = 2.0
AGAIN = ("order", "conflict")  # somebody else has talked in this conversation meanwhile


class Server:
    """`url` as in "http://127.0.0.1:8321"; `token` if it wants one; `timeout_s` bounds each request."""

    def __init__(self, url: str, token: str | None = None, timeout_s: float = 10.0) -> None:
        self.url, self.timeout_s = url.rstrip("/"), timeout_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def hear(self, conversation: str, audio: bytes, text: str | None) -> dict[str, Any]:
        """`user_turn`: measured, recognised if `text` is None, remembered."""

        def form() -> aiohttp.FormData:
            made = aiohttp.FormData({} if text is None else {"text": text})
            made.add_field("audio", audio, filename="turn.wav")
            return made

        return await self._twice(f"{conversation}/user_turn", lambda: {"data": form()})

    async def say(self, conversation: str, text: str, number: int | None) -> dict[str, Any]:
        """`agent_turn`: the reply's sound. `number`: how many turns there should be before it; if there are others, it is said after
        those."""
        bodies = iter([{"text": text, "turn": number}, {"text": text}])
        return await self._twice(f"{conversation}/agent_turn", lambda: {"json": next(bodies)})

    async def _twice(self, path: str, body: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return await self._ask("POST", path, **body())
        except Fault as fault:
            if fault.code not in AGAIN:
                raise
        return await self._ask("POST", path, **body())

    async def forget(self, conversation: str) -> None:
        await self._ask("DELETE", conversation)

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        if self._session is None:  # made here: it belongs to the running loop
            # A connection each: one kept from before the server was restarted fails at its next use, and costs a turn.
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(force_close=True),
                timeout=aiohttp.ClientTimeout(total=self.timeout_s, sock_connect=CONNECT_S),
            )
        url = f"{self.url}/v1/conversations/{path}"
        try:
            async with self._session.request(method, url, allow_redirects=False, **body) as answer:
                return _read(answer.status, await answer.read())
        except asyncio.TimeoutError:
            raise Fault("timeout", f"The entrain server gave no answer in {self.timeout_s:g} s.") from None
        except (aiohttp.ClientError, OSError) as error:
            log.warning("entrain: %s", error)  # not for clients: it holds addresses
            raise Fault("unreachable", "The entrain server can't be reached.") from error


def _read(status: int, body: bytes) -> dict[str, Any]:
    """The answer, or the server's own reason for none."""
    try:
        answer = json.loads(body)
        if status == 200:
            return dict(answer)
        wrong = answer["error"]
        raise Fault(str(wrong["code"]), str(wrong["message"]))
    except (ValueError, KeyError, TypeError):
        raise Fault("answer", f"What answered {status} is not an entrain server; check `url`.") from None
