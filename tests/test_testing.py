"""The conformance suites, run on what they are about: entrain's own voices, the plain loop, and a loop of asyncio. And they find what is wrong."""

from __future__ import annotations

import asyncio

import pytest

from entrain import testing
from entrain.aside import Aside
from entrain.audio import Audio
from entrain.conversation import Entrainer
from entrain.tts import TTS, Knobs, Rendition, load_tts
from entrain.turn import Turn


class TestHibari(testing.Voice):
    def tts(self) -> TTS:
        return load_tts("hibari")


class TestEspeak(testing.Voice):
    def tts(self) -> TTS:
        pytest.importorskip("espeakng_loader", reason="pip install 'entrain[espeak]'")
        return load_tts("espeak")


class Plain:
    """hear, plan, spoke: a host without a framework."""

    def __init__(self, agent: Entrainer, conversation_id: str) -> None:
        self.talk = agent.conversation(conversation_id)
        self.voice = load_tts("hibari")

    def user(self, audio: Audio, text: str | None) -> None:
        self.talk.hear(audio, text)

    def agent(self, text: str, stop_s: float | None = None) -> None:
        targets = self.talk.plan(text)
        audio = self.voice.synthesise(text, self.voice.capability.clamp(Knobs(targets.done[0]))).audio
        if stop_s is not None:
            text, audio = "We open at nine.", audio.part(0, stop_s)
        self.talk.spoke(text, audio, targets)

    def turns(self) -> list[Turn]:
        return self.talk.turns

    def close(self) -> None:
        self.talk.close()


class TestPlainLoop(testing.PlugIn):
    def host(self, agent: Entrainer, conversation_id: str) -> testing.Host:
        return Plain(agent, conversation_id)


class OnAsyncio:
    """A loop of asyncio over `Aside`: its sound goes out as fast as it is made, and is cut by what the host knows."""

    def __init__(self, agent: Entrainer, conversation_id: str) -> None:
        self.runner = asyncio.Runner()
        self.aside = Aside(agent.conversation(conversation_id), settle_s=5)

    def user(self, audio: Audio, text: str | None) -> None:
        pcm = (audio.samples * 32767).astype("<i2").tobytes()
        self.aside.user_began()
        for at in range(0, len(pcm), 640):
            self.aside.user_audio(pcm[at : at + 640], audio.rate_hz)
        self.aside.user_ended(text)

    def agent(self, text: str, stop_s: float | None = None) -> None:
        self.runner.run(self._say(text, stop_s))

    async def _say(self, text: str, stop_s: float | None) -> None:
        async for audio in self.aside.say(text, await self.aside.plan(text)):
            self.aside.agent_audio((audio.samples * 32767).astype("<i2").tobytes(), audio.rate_hz)
        self.aside.agent_ended(played_s=stop_s)

    def turns(self) -> list[Turn]:
        self.runner.run(self.aside.settled())
        return self.aside.talk.turns

    def close(self) -> None:
        self.runner.run(self.aside.close())
        self.runner.close()


class TestAside(testing.PlugIn):
    def host(self, agent: Entrainer, conversation_id: str) -> testing.Host:
        return OnAsyncio(agent, conversation_id)


class Deaf(Plain):
    """Forgets what the user said, and plans nothing."""

    def user(self, audio: Audio, text: str | None) -> None:
        self.talk.hear(Audio.empty(16_000), "")

    def agent(self, text: str, stop_s: float | None = None) -> None:
        self.talk.spoke(text, self.voice.synthesise(text).audio)


class Wrong:
    """A voice that is never the same, says that it did what it can't, and speaks where there is nothing to say."""

    name, rate_hz, capability = "wrong", 16_000, load_tts("hibari").capability

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        import numpy as np

        samples = np.random.default_rng().normal(0, 0.1, 16_000).astype(np.float32)
        return Rendition(Audio(samples, 16_000), text, applied=knobs)


def test_a_plug_in_that_does_not_hear_is_found():
    class Found(testing.PlugIn):
        def host(self, agent: Entrainer, conversation_id: str) -> testing.Host:
            return Deaf(agent, conversation_id)

    for test in (
        "test_turns_are_remembered_in_their_order", "test_replies_follow_the_user",
        "test_an_interrupted_reply_is_remembered_as_far_as_it_was_heard",
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            getattr(Found(), test)()


@pytest.mark.parametrize(
    "test",
    ["nothing_to_say_is_no_sound", "the_same_text_gives_the_same_samples", "neutral_knobs_change_nothing",
     "what_is_applied_is_within_its_spans", "its_knobs_move_what_they_say"],
)  # fmt: skip
def test_a_voice_that_is_wrong_is_found(test: str):
    class Found(testing.Voice):
        def tts(self) -> TTS:
            return Wrong()

    with pytest.raises((AssertionError, TypeError)):
        getattr(Found(), f"test_{test}")()
