"""The suite of `entrain.testing`, in a real session."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from sessions import Call

from entrain import Audio, Entrainer
from entrain.testing import PlugIn
from entrain.turn import Turn
from livekit.plugins import entrain

PATIENCE_S = 10.0  # for targets: a loaded machine is not what is tested


class LiveKitHost:
    """A session on a loop of its own, driven from the test's thread."""

    def __init__(self, agent: Entrainer, conversation_id: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.agent = entrain.EntrainAgent(
            entrainer=agent, conversation_id=conversation_id, instructions="You keep a shop."
        )
        self.call = self.run(self._begin(entrain.TTS(agent)))

    async def _begin(self, voice: entrain.TTS) -> Call:
        call = await Call(self.agent, voice, speed=8).start()
        self.live = self.agent.live
        self.live.aside.settle_s = PATIENCE_S
        return call

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(90)

    def user(self, audio: Audio, text: str | None) -> None:
        self.run(self.call.user(audio, text or ""))

    def agent_says(self, text: str, stop_s: float | None = None) -> None:
        self.run(self.call.reply(text, stop_s))

    def turns(self) -> list[Turn]:
        self.run(self.live.aside.settled())
        return self.live.aside.talk.turns

    def close(self) -> None:
        self.run(self.call.close())
        self.run(self.live.aside.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


class Driven:
    """`Host` wants a method called as our attribute is."""

    def __init__(self, host: LiveKitHost) -> None:
        self.user, self.agent, self.turns, self.close = host.user, host.agent_says, host.turns, host.close


class TestLiveKit(PlugIn):
    def host(self, agent: Entrainer, conversation_id: str) -> Driven:
        return Driven(LiveKitHost(agent, conversation_id))
