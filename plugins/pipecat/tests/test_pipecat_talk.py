"""The whole agent, offline, in real time: Silero, Moonshine, a scripted language model, hibari; and what users hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest
from pipecat.frames import frames as f
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.tests.utils import run_test
from pipecat_host import Host, another, example, pause, reply, turn

from entrain import Audio, Entrainer
from entrain.aside import Aside
from entrain.asr import Moonshine
from entrain.prosody import extract
from entrain.strategy import WizardOfOz
from entrain.tts import Capability, Knobs, Rendition, TTSError
from entrain.turn import Turn
from pipecat_entrain import Conditioned, EntrainProcessor, EntrainTTSService

bot = example()
REPLIES = bot.REPLIES
Heard = tuple[list[Audio], list[Turn]]


async def conversation(agent: Entrainer, turns: list[Audio], ears: Moonshine) -> Heard:
    aside = Aside(agent.conversation(register="high"), settle_s=1.0)
    tts = EntrainTTSService(aside)
    async with bot.Call(tts, REPLIES, [EntrainProcessor(aside, tts)], recogniser=ears) as call:
        heard = [(await call.answered(said))[1] for said in turns]
    return heard, aside.talk.turns


def low(agent: Entrainer) -> list[Audio]:
    return bot.user_turns(agent, -2.5, 0.85)[1:]


def high(agent: Entrainer) -> list[Audio]:
    return bot.user_turns(agent, 2.5, 1.18)[1:]


@pytest.fixture(scope="module")
def talks(usual: Entrainer) -> dict[str, Heard]:
    """A slow, low user and a quick, high one, at the same time; two turns each."""
    ears = Moonshine()
    ears.transcribe(low(usual)[0])

    async def both() -> list[Heard]:
        users = (low(usual), high(usual))
        return await asyncio.gather(*(conversation(usual, turns, ears) for turns in users))

    return dict(zip(("low", "high"), asyncio.run(both()), strict=True))


@pytest.mark.slow
def test_what_is_heard_of_the_agent_moves_with_the_user(talks: dict[str, Heard]):
    of_low, of_high = (
        np.mean([[(x := extract(audio, text)).f0_mean_st, x.rate_syll_s] for audio, text in zip(talks[who][0], REPLIES, strict=False)], 0)
        for who in ("low", "high")
    )  # fmt: skip
    assert of_high[0] - of_low[0] > 0.3, "semitones"
    assert of_high[1] / of_low[1] > 1.01, "syllables a second"


@pytest.mark.slow
def test_all_of_it_is_remembered(talks: dict[str, Heard]):
    for heard, turns in talks.values():
        assert [turn.speaker for turn in turns] == ["user", "agent"] * 2
        assert [turn.text for turn in turns if turn.speaker == "agent"] == list(REPLIES[:2])
        assert all(turn.features.f0_mean_st is not None and turn.text for turn in turns)
        assert not [turn.fault for turn in turns if turn.fault]
        for audio, said in zip(heard, turns[1::2], strict=True):
            assert -0.2 < said.end_s - said.start_s - audio.duration_s < 2.0, "its pauses too"


@pytest.mark.slow
def test_an_interruption_truncates_our_turn(usual: Entrainer):
    """The user speaks again a second after the agent begins."""

    async def interrupts() -> list[Turn]:
        aside = Aside(usual.conversation(), settle_s=1.0)
        tts = EntrainTTSService(aside)
        first, second = low(usual)
        async with bot.Call(tts, REPLIES, [EntrainProcessor(aside, tts)]) as call:
            await call.says(first)
            await asyncio.wait_for(call.loudspeaker.speaks.wait(), 30)
            await asyncio.sleep(1.0)
            await call.answered(second)
        return aside.talk.turns

    turns = asyncio.run(interrupts())
    agent = [turn for turn in turns if turn.speaker == "agent"]
    cut, last = agent[0], agent[-1]
    assert REPLIES[0].startswith(cut.text)
    assert len(cut.text) < len(REPLIES[0])
    assert 0.5 < cut.end_s - cut.start_s < 3.5
    assert last.text in REPLIES
    assert turns[-1] is last


# --- voices that cannot be told ---------------------------------------------------------------------------------------


class Plain(TTSService):
    """A voice of Pipecat's without a setting: hibari, as it is."""

    def __init__(self, agent: Entrainer, **kwargs: Any) -> None:
        settings = TTSSettings(model=None, voice=None, language=None)
        super().__init__(
            push_start_frame=True, push_stop_frames=True, sample_rate=24_000, settings=settings, **kwargs
        )
        self._agent = agent

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[f.Frame | None, None]:
        pcm = (self._agent.tts.synthesise(text).audio.samples * 32_767).astype("<i2").tobytes()
        for i in range(0, len(pcm), 9_600):
            yield f.TTSAudioRawFrame(pcm[i : i + 9_600], 24_000, 1, context_id=context_id)


class Moved(Conditioned, Plain):
    pass


def out(host: Host) -> Audio:
    pcm = b"".join(frame.audio for frame in host.sent(f.TTSAudioRawFrame))
    return Audio.from_pcm16(pcm, 24_000)


def test_a_voice_that_cannot_be_told_is_moved_on_its_waveform(usual: Entrainer):
    wizard = WizardOfOz()
    agent = another(usual, wizard)
    text = "We open at nine in the morning."
    sounds: dict[float, Audio] = {}
    for z in (0.0, 1.5):
        wizard.set(f0_mean_st=z, rate_syll_s=z)
        talk = agent.conversation()
        host = Host(talk, make=lambda aside: Moved(aside, agent=agent)).send(reply(text))
        sounds[z] = out(host)
        assert talk.turns[-1].text == text
        assert not [note for note in talk.turns[-1].notes if "run_tts" in note]
    usual_f0, moved_f0 = (extract(sounds[z], text).f0_mean_st for z in sounds)
    assert moved_f0 is not None
    assert usual_f0 is not None
    assert moved_f0 - usual_f0 > 1.0
    assert sounds[1.5].duration_s < 0.97 * sounds[0.0].duration_s


def test_neutral_targets_leave_its_samples_as_they_are(usual: Entrainer):
    agent = another(usual, WizardOfOz())
    host = Host(agent.conversation(), make=lambda aside: Moved(aside, agent=agent)).send(reply("We open."))
    as_it_is = (agent.tts.synthesise("We open.").audio.samples * 32_767).astype("<i2")
    assert np.array_equal((out(host).samples * 32_768).astype("<i2"), as_it_is)


class Dumb:
    """A voice that fails at all but what it is loaded with."""

    name, rate_hz, capability = "dumb", 24_000, Capability()

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        raise TTSError("no voice today")


def test_a_voice_that_fails_does_not_end_the_talk(usual: Entrainer, speech: Audio):
    agent = Entrainer(Dumb(), usual.voice, usual.strategy, worker=usual.worker)
    host = Host(agent.conversation(), make=EntrainTTSService).send(turn(speech), reply("Yes."), reply("No."))
    assert not host.sent(f.TTSAudioRawFrame)
    assert [frame.text for frame in host.sent(f.TTSTextFrame)] == ["Yes.", "No."]
    assert host.talk.turns[0].text


# --- a reply that is made before the user's turn is over --------------------------------------------------------------


def speculative() -> f.LLMContextFrame:
    return f.LLMContextFrame(LLMContext([{"role": "user", "content": "?"}]), speculation=True)


def began(speech: Audio) -> list[f.Frame]:
    return turn(speech)[:-2]


def test_a_speculative_reply_is_planned_once_and_only_if_it_is_said(
    host: Host, speech: Audio, wizard: WizardOfOz
):
    """Pipecat's language models hold it until the turn is confirmed: nothing is planned for one that is withdrawn."""
    planned: list[str] = []
    plan = host.talk.plan
    host.talk.plan = lambda text: planned.append(text) or plan(text)  # type: ignore[method-assign]
    model = bot.Script(("Never said. Never.", "It is open. Do come."), first_s=0.0, word_s=0.0)
    host.before = [model]
    resumed = [speculative(), pause(0.5), f.EagerEndOfTurnCancelFrame(), pause()]
    confirmed = [speculative(), pause(0.5), f.UserStoppedSpeakingFrame(), pause(0.5)]
    host.send(began(speech), resumed, confirmed)
    assert [text for text in planned if text] == ["It is open."]
    assert [turn.text for turn in host.talk.turns] == ["When do you open today?", "It is open. Do come."]


# --- the event loop ---------------------------------------------------------------------------------------------------


def test_the_event_loop_goes_on(usual: Entrainer, speech: Audio):
    """A generous bound, since the machine may be busy: what is done at once here would take .1 s and more. `benchmarks` measures."""
    longest_s = 0.0

    async def ticks() -> None:
        nonlocal longest_s
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.001)
            longest_s = max(longest_s, loop.time() - before)

    async def both() -> None:
        aside = Aside(usual.conversation(), settle_s=1.0)
        tts = EntrainTTSService(aside)
        frames = [*turn(speech), *reply(REPLIES[0]), pause(1.0)]
        ticker = asyncio.create_task(ticks())
        await run_test(Pipeline([EntrainProcessor(aside, tts), tts]), frames_to_send=frames, start_timeout=20)
        ticker.cancel()

    asyncio.run(both())
    assert longest_s < 0.5
