"""Live talks over a WebSocket: PCM in, PCM and events out; the talk itself is `entrain.live`.

The client's first message is `{"type": "hello", "rate_hz": 16000, "token": null, "strength": 1.0, "hands_free": true, "strategy": "neural"}`
(only `rate_hz` is needed); the answer is `{"type": "ready", "rate_hz": 24000, "state": "listening", "turns": […so far]}`. Then binary messages are mono 16-bit
little-endian PCM, the client's at its own rate and the server's at the rate of `ready`, and text messages are JSON:

- client: `begin` and `end` (push to talk), `{"type": "strength", "value": 0.5}`, `interrupt`, `bye`;
- server: the events of `entrain.live.Event` as `{"type": …, "at_s": …, …}`, and `meters` ten times a second. At `interrupted` the client
  forgets what it has not played yet. `error` is the last before the server closes.

A host that has ears, words and a voice of its own says `"ears_only": true` in its hello: it says `begin`, streams the user's turn, says
`{"type": "end", "text": "what the user said", "reply": "what to answer"}` and gets `heard` and `targets`. Without `text` the turn is recognised here;
without `reply` it asks later, by `{"type": "plan", "reply": …}`. It tells what was played by `{"type": "spoke", "text": …, "audio": base64 wav or
left out}` and gets `said`. The turn is measured while it is spoken, so that at its end little is left to do.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated

import anyio
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi import Path as InPath

from entrain.limits import Refusal, bearer
from entrain.line import Line
from entrain.messages import ID_PATTERN, private
from entrain.party import Host, Talker
from entrain.sessions import Session, Sessions, of
from entrain.wishes import HELLO, Bye, Hello

log = logging.getLogger(__name__)

READY_TURNS = 200  # of the conversation so far are told at once; the rest is in its history
CLOSING_S = 10.0  # a talk that is ended still measures and saves what was said
LOOK_S = 1.0  # how often the store is asked whether another worker has changed this conversation

live = APIRouter()


@live.websocket("/v1/conversations/{id}/live")
async def talk(websocket: WebSocket, id: Annotated[str, InPath(pattern=ID_PATTERN)]) -> None:
    sessions = of(websocket)
    await websocket.accept()
    line = Line(websocket, sessions.limits)
    why: Refusal | None = None
    try:
        hello = await line.first(HELLO)
        if not sessions.limits.knows(hello.token or bearer(websocket.headers.get("authorization"))):
            raise Refusal(401, "unauthorized", "The token is missing or wrong; send it in hello.")
        await hold(sessions, id, hello, line)
    except WebSocketDisconnect:
        pass
    except Refusal as refusal:
        why = refusal
        sessions.metrics.refused(refusal.code)
    except Exception:
        log.exception("a live session failed")
        why = Refusal(500, "bug", "That should not have happened; the server's log says more.")
    await line.close(why)


async def hold(sessions: Sessions, conversation_id: str, hello: Hello, line: Line) -> None:
    """One live session, from hello to bye. Raises `Refusal` when it is the server that ends it."""
    end = Ending()
    try:
        async with sessions.floor(conversation_id, end) as session:
            await converse(sessions, session, hello, line, end)
    finally:
        end.over.set()


async def converse(sessions: Sessions, session: Session, hello: Hello, line: Line, end: Ending) -> None:
    line.rate_hz = hello.rate_hz
    await sessions.run(sessions.steer, session, hello.strength, hello.strategy)
    party = await sessions.run(Host if hello.ears_only else Talker, sessions, session, hello, line)
    turns = [private(turn).model_dump(mode="json") for turn in session.talk.turns[-READY_TURNS:]]
    line.tell("ready", rate_hz=party.rate_hz, state=party.state, turns=turns)

    async def listen() -> None:
        async for item in line.incoming():
            if isinstance(item, Bye):
                return
            await party.take(item)

    limit = sessions.limits.session_s
    try:
        await first_of(
            line.send, listen, party.run, end.wait, lambda: watch(sessions, session), lambda: too_long(limit)
        )
    finally:
        with anyio.CancelScope(shield=True):
            await sessions.run(party.close)


class Ending:
    """How others end a session: call it with a code and a message; it returns when the session is over."""

    def __init__(self) -> None:
        self.asked, self.over = anyio.Event(), anyio.Event()
        self.why: Refusal | None = None

    async def __call__(self, code: str, message: str) -> None:
        self.why = Refusal(409, code, message)
        self.asked.set()
        with anyio.move_on_after(CLOSING_S):
            await self.over.wait()

    async def wait(self) -> None:
        await self.asked.wait()
        if self.why:
            raise self.why


async def watch(sessions: Sessions, session: Session) -> None:
    """Until another worker changes the conversation, or deletes it: two must not hold the same talk."""
    n_seen = 0
    while n_seen < 2:  # a turn that is just being saved here may look like one from elsewhere
        await anyio.sleep(LOOK_S)
        n_seen = n_seen + 1 if await sessions.changed_elsewhere(session) else 0
    raise Refusal(409, "changed", "The conversation goes on elsewhere, or was deleted; begin again.")


async def too_long(session_s: float) -> None:
    await anyio.sleep(session_s)
    raise Refusal(
        408, "session", f"A session lasts {session_s:g} s at most; begin another, the conversation is kept."
    )


async def first_of(*tasks: Callable[[], Awaitable[None]]) -> None:
    """Until the first of them is done; the others are then cancelled. Raises what that one raises."""
    whys: list[Exception] = []
    async with anyio.create_task_group() as group:

        async def until(task: Callable[[], Awaitable[None]]) -> None:
            try:
                await task()
            except Exception as error:
                whys.append(error)
            group.cancel_scope.cancel()

        for task in tasks:
            group.start_soon(until, task)
    if whys:
        raise whys[0]
