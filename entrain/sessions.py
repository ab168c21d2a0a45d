"""The conversations that a server has in memory: one request at a time each, up to date with the store, gone when idle."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from entrain.conversation import Conversation, Entrainer
from entrain.history import HistoryError
from entrain.limits import Limits, Refusal
from entrain.live import Ears
from entrain.metrics import Metrics
from entrain.normalize import Register
from entrain.responder import Responder
from entrain.store import StoreError
from entrain.strategy import load_strategy
from entrain.targets import Targets

log = logging.getLogger(__name__)
T = TypeVar("T")

THREADS = 32  # for work that blocks: it mostly waits for the Praat process
Leave = Callable[[str, str], Awaitable[None]]


@dataclass(eq=False)
class Session:
    """One conversation. `lock` is held by the request that is being done; `leave` ends its live session, if one is going on."""

    id: str
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    used_at: float = field(default_factory=time.monotonic)
    conversation: Conversation | None = None
    planned: Targets | None = None
    heard_s: float | None = None
    """How long the last user's turn took to be measured, until its reply is planned."""
    responder: Responder | None = None
    leave: Leave | None = None

    @property
    def talk(self) -> Conversation:
        if self.conversation is None:
            raise RuntimeError("a session is used before it is loaded")
        return self.conversation

    @property
    def busy(self) -> bool:
        return self.leave is not None or self.lock.statistics().locked


class Sessions:
    """What all requests share. `respond` makes the responder of a conversation, by its id."""

    def __init__(
        self,
        agent: Entrainer,
        limits: Limits,
        respond: Callable[[str], Responder],
        metrics: Metrics,
        ears: Ears,
    ) -> None:
        self.agent, self.limits, self.respond, self.metrics, self.ears = agent, limits, respond, metrics, ears
        self._open: dict[str, Session] = {}
        self._agents = {agent.strategy.name: agent}
        self._threads = anyio.CapacityLimiter(THREADS)

    @property
    def n_live(self) -> int:
        return sum(session.leave is not None for session in self._open.values())

    async def run(self, work: Callable[..., T], *args: Any, **settings: Any) -> T:
        """In a thread: never on the event loop."""
        return await anyio.to_thread.run_sync(partial(work, *args, **settings), limiter=self._threads)

    @asynccontextmanager
    async def use(
        self, conversation_id: str, register: Register = "any", number: int | None = None, begin: bool = True,
        change: bool = True,
    ) -> AsyncGenerator[Session]:  # fmt: skip
        """The conversation, for one request alone, as the store has it now. `begin`: or a new one. `number`: so many turns there should
        be. `change`: turns will be added, which a live session alone may do while it goes on. Raises `Refusal`."""
        session = await self._acquire(conversation_id)
        try:
            await self._refresh(session, register, begin)
            n = len(session.talk.history)
            if not begin and not n:
                raise Refusal(
                    404, "no_conversation", "There is no such conversation; its first turn begins it."
                )
            if change and session.leave:
                raise Refusal(409, "live", "A live session of this conversation is going on; end it first.")
            if number is not None and number != n:
                raise Refusal(409, "order", f"turn is {number}; the next is {n}.")
            yield session
            if change:
                await self._settle(session)
        finally:
            session.used_at = time.monotonic()
            session.lock.release()

    @asynccontextmanager
    async def floor(self, conversation_id: str, leave: Leave) -> AsyncGenerator[Session]:
        """The conversation, for a live session; one that is going on is left first. `leave` must end this one. Raises `Refusal`."""
        session = await self._acquire(conversation_id)
        try:
            if session.leave:
                await session.leave("taken_over", "The conversation goes on over another line.")
            if self.n_live >= self.limits.live:
                raise Refusal(503, "full", "Too many live sessions are going on; try again later.")
            await self._refresh(session, "any", begin=True)
            session.leave, session.planned = leave, None
        finally:
            session.lock.release()
        try:
            yield session
        finally:
            session.leave, session.used_at = None, time.monotonic()

    async def forget(self, conversation_id: str) -> bool:
        """Delete all there is of it, after its live session is ended; True if there was anything."""
        session = self._open.get(conversation_id)
        if session and session.leave:
            await session.leave("deleted", "The conversation was deleted.")
        session = await self._acquire(conversation_id, even_if_full=True)
        try:
            begun = session.conversation is not None and len(session.talk.history) > 0
            return await self.run(self.agent.forget, conversation_id) or begun
        finally:
            self._open.pop(conversation_id, None)
            session.lock.release()

    def steer(self, session: Session, strength: float | None, strategy: str | None) -> None:
        """The server's own where None. Loading a strategy blocks: call it in a thread."""
        agent = self._agent(strategy or self.agent.strategy.name)
        changed = {} if strength is None else {"strength": strength}
        session.talk.entrainer, session.talk.policy = agent, agent.policy.model_copy(update=changed)

    def tidy(self) -> None:
        self.drop_idle()
        self.metrics.conversations.set(len(self._open))
        self.metrics.live.set(self.n_live)

    def drop_idle(self) -> None:
        """Forget what has not been used for long; with a store it is loaded again when it is asked for."""
        before = time.monotonic() - self.limits.idle_s
        for session in [s for s in self._open.values() if s.used_at < before and not s.busy]:
            del self._open[session.id]

    async def changed_elsewhere(self, session: Session) -> bool:
        """Whether another worker has added turns to it, or deleted it."""
        store = self.agent.store
        return store is not None and await self.run(store.stale, session.talk.history)

    async def close(self) -> None:
        for session in list(self._open.values()):
            if session.leave:
                await session.leave("closing", "The server is going down; come back later.")
            if session.conversation:
                await self.run(session.conversation.close)
        await self.run(self.agent.close)

    async def _acquire(self, conversation_id: str, even_if_full: bool = False) -> Session:
        """The session, locked; one that was dropped while we waited for it is not the one."""
        while True:
            if not even_if_full and conversation_id not in self._open:
                self._make_room()
            session = self._open.setdefault(conversation_id, Session(conversation_id))
            try:
                with anyio.fail_after(self.limits.wait_s):
                    await session.lock.acquire()
            except TimeoutError:
                why = "Another request of this conversation is being done; send it again."
                raise Refusal(409, "busy", why) from None
            if self._open.get(conversation_id) is session:
                return session
            session.lock.release()

    def _make_room(self) -> None:
        if len(self._open) >= self.limits.conversations:
            self.drop_idle()
        if len(self._open) < self.limits.conversations:
            return
        idle = [session for session in self._open.values() if not session.busy]
        if self.agent.store is None or not idle:
            raise Refusal(503, "full", "Too many conversations are going on; try again later.")
        del self._open[min(idle, key=lambda session: session.used_at).id]

    async def _refresh(self, session: Session, register: Register, begin: bool) -> None:
        try:
            if session.conversation is None:
                session.conversation = await self.run(self.agent.conversation, session.id, register)
            elif not session.leave and await self.changed_elsewhere(session):
                await self._reload(session)
        except StoreError as error:
            log.warning("the store does not answer: %s", type(error).__name__)
            if session.conversation is None:
                raise Refusal(503, "store", "The store can't be reached; try again later.") from error
        except HistoryError as error:
            raise Refusal(500, "history", "What is stored of this conversation can't be read.") from error
        finally:
            if session.conversation is None or (not begin and not len(session.talk.history)):
                self._open.pop(session.id, None)

    async def _settle(self, session: Session) -> None:
        """Turns that another worker's have overtaken are taken back, and that is told: their host sends them again."""
        try:
            overtaken = await self.changed_elsewhere(session)
        except StoreError:
            return  # written as soon as it answers again
        if overtaken:
            await self._reload(session)
            raise Refusal(
                409, "conflict", "Another worker has just changed this conversation; look, and send it again."
            )

    async def _reload(self, session: Session) -> None:
        fresh = await self.run(self.agent.conversation, session.id)
        session.talk.history, session.planned = fresh.history, None

    def _agent(self, strategy: str) -> Entrainer:
        """The same agent, but for its strategy."""
        if strategy not in self._agents:
            agent = copy.copy(self.agent)
            agent.strategy = load_strategy(strategy, agent.policy.anchor)
            self._agents[strategy] = agent
        return self._agents[strategy]


def of(connection: Any) -> Sessions:
    """Of a request or a WebSocket."""
    return connection.app.state.sessions
