"""entrain's suite for plug-ins, on Pipecat; and the README's snippets, run."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from pipecat.frames import frames as f
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.workers.runner import WorkerRunner
from pipecat_host import PLUGIN, Spoken, example, reply, turn

from entrain import Audio, Entrainer
from entrain.aside import Aside
from entrain.testing import Host, PlugIn
from entrain.turn import Turn
from pipecat_entrain import EntrainProcessor, EntrainTTSService

bot = example()


class Running:
    """A pipeline of the plug-in, entrain's voice and a loudspeaker, on a loop of its own; frames come as from a transport and a language model."""

    def __init__(self, agent: Entrainer, conversation_id: str) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._do(self._start(Aside(agent.conversation(conversation_id), settle_s=5.0)))

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(60)

    async def _start(self, aside: Aside) -> None:
        self._aside, self._loudspeaker = aside, bot.Loudspeaker(pace=2.0)
        tts = EntrainTTSService(aside)
        self._worker = PipelineWorker(
            Pipeline([EntrainProcessor(aside, tts), tts, self._loudspeaker]), cancel_on_idle_timeout=False, enable_rtvi=False
        )  # fmt: skip
        started = asyncio.Event()

        @self._worker.event_handler("on_pipeline_started")
        async def on_started(*_: object) -> None:
            started.set()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self._worker)
        self._running = asyncio.create_task(runner.run())
        await started.wait()

    async def _send(self, frames: list[f.Frame]) -> None:
        for frame in frames:
            if hasattr(frame, "sleep"):
                await asyncio.sleep(frame.sleep)
            else:
                await self._worker.queue_frame(frame)
        await asyncio.sleep(0.1)
        await self._aside.settled()

    def user(self, audio: Audio, text: str | None) -> None:
        self._do(self._send(turn(audio, text or "")))

    def agent(self, text: str, stop_s: float | None = None) -> None:
        self._do(self._reply(text, stop_s))

    async def _reply(self, text: str, stop_s: float | None) -> None:
        self._loudspeaker.over.clear()
        self._loudspeaker.speaks.clear()
        await self._send(reply(text)[:-1])
        if stop_s is None:
            await asyncio.wait_for(self._loudspeaker.over.wait(), 30)
            await self._send([])
        else:
            await asyncio.wait_for(self._loudspeaker.speaks.wait(), 30)
            await asyncio.sleep(stop_s)
            await self._send([f.InterruptionFrame()])

    def turns(self) -> list[Turn]:
        self._do(self._settle())
        return self._aside.talk.turns

    async def _settle(self) -> None:
        await asyncio.sleep(0.6)  # a transport takes .35 s of silence for the end
        await self._aside.settled()

    def close(self) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _end(self) -> None:
        await self._worker.queue_frame(f.EndFrame())
        await self._running


@pytest.mark.slow
class TestPipecat(PlugIn):
    def host(self, agent: Entrainer, conversation_id: str) -> Host:
        return Running(agent, conversation_id)


# --- the README -------------------------------------------------------------------------------------------------------


def test_the_readmes_snippets_run(usual: Entrainer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Entrainer, "load", lambda **_: usual)
    snippets = re.findall(r"```python\n(.*?)```", (PLUGIN / "README.md").read_text(), re.S)
    assert len(snippets) == 2
    names: dict[str, Any] = {}
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), names)

    class Transport:
        def input(self) -> Any:
            return bot.Microphone(1.0)

        def output(self) -> Any:
            return bot.Loudspeaker(1.0)

    hears, says = bot.LLMContextAggregatorPair(bot.LLMContext())
    pipeline = names["pipeline"](
        Transport(), bot.Ears(bot.Moonshine()), hears, bot.Script([]), Spoken(), says, "call"
    )
    assert any(isinstance(one, EntrainProcessor) for one in pipeline.processors)
    session = object()
    settings = names["XTTSService"].Settings(voice="somebody")
    processor, tts = names["speaking"](
        "call", aiohttp_session=session, base_url="http://localhost", settings=settings
    )
    assert processor.aside is tts.aside
    assert np.isfinite(tts.targets.done).all()


def test_the_readme_names_every_setting_of_the_table():
    from pipecat_entrain.told import LEVERS

    said = (PLUGIN / "README.md").read_text()
    names = {lever.name for levers in LEVERS.values() for lever in levers} - {"time_scale_factor"}
    assert not [name for name in names if f"`{name}`" not in said]
