"""The processor in Pipecat's own test pipeline: what the TTS is told and when, and a host that tells too little, too much or nonsense."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import numpy as np
import pytest
from pipecat.frames import frames as f
from pipecat.metrics.metrics import ProcessingMetricsData
from pipecat.services.tts_service import TextAggregationMode
from pipecat_host import RATE_HZ, Host, Spoken, another, pause, reply, sound, turn

from entrain import Audio, Entrainer
from entrain.history import History
from entrain.levers import rate
from entrain.strategy import Prediction, WizardOfOz
from entrain.turn import FEATURES

TEXT = "We open at nine. The door is on the left."


def test_the_voice_is_told_before_its_first_sentence(host: Host):
    host.send(reply(TEXT))
    (first, speed), (second, then) = host.tts.asked
    assert (first, second) == ("We open at nine.", "The door is on the left.")
    assert speed == then
    assert speed is not None
    assert 1.02 <= speed <= 1.25
    assert round(speed / 0.02, 3) % 1 == 0, "in steps that are heard"


def test_nothing_is_told_twice_and_neutral_is_nothing_to_tell(host: Host, wizard: WizardOfOz):
    wizard.clear()
    host.send(reply(TEXT))
    assert [speed for _, speed in host.tts.asked] == [None, None]
    assert not host.tts.updates
    wizard.set(rate_syll_s=1.0)
    host = Host(host.talk).send(reply(TEXT), reply(TEXT))
    assert len(host.tts.updates) == 1


def test_it_changes_between_replies_only(host: Host, wizard: WizardOfOz):
    host.send(reply(TEXT), f.LLMFullResponseStartFrame(), *[f.LLMTextFrame(t) for t in ("One. ", "Two. ")])
    assert len({speed for _, speed in host.tts.asked}) == 1
    assert [text for text, _ in host.tts.asked][2:] == ["One.", "Two."], (
        "its end never came: the pipeline's did"
    )


def test_what_it_cannot_do_is_noted(host: Host, wizard: WizardOfOz, speech: Audio):
    wizard.set(f0_mean_st=1.0)
    host.send(turn(speech), reply(TEXT))
    (note,) = [note for note in host.talk.turns[-1].notes if "pitch" in note]
    assert note.startswith("pitch, st: asked")


def test_a_turn_and_a_reply_are_remembered(host: Host, speech: Audio):
    host.send(turn(speech), reply(TEXT))
    user, agent = host.talk.turns
    assert (user.speaker, user.text) == ("user", "When do you open today?")
    assert user.features.f0_mean_st is not None
    assert (agent.speaker, agent.text) == ("agent", TEXT)
    assert agent.plan is not None
    assert agent.end_s - agent.start_s == pytest.approx(0.5, abs=0.05), "both sentences' sound"
    assert agent.features.f0_mean_st == pytest.approx(12.0, abs=0.3), "200 Hz, measured"


def test_the_words_and_their_order_are_the_hosts(host: Host):
    host.send(reply(TEXT))
    kinds = (
        f.LLMFullResponseStartFrame,
        f.TTSStartedFrame,
        f.TTSAudioRawFrame,
        f.TTSTextFrame,
        f.TTSStoppedFrame,
        f.LLMFullResponseEndFrame,
    )
    assert [type(frame).__name__ for frame in host.down if isinstance(frame, kinds)] == [
        "LLMFullResponseStartFrame", "TTSStartedFrame", "TTSAudioRawFrame", "TTSTextFrame", "TTSAudioRawFrame", "TTSTextFrame",
        "TTSStoppedFrame", "LLMFullResponseEndFrame",
    ]  # fmt: skip
    assert [frame.text for frame in host.sent(f.TTSTextFrame)] == [
        "We open at nine.",
        "The door is on the left.",
    ]


def test_its_cost_is_among_the_metrics(host: Host):
    host.send(reply(TEXT))
    data = [one for frame in host.sent(f.MetricsFrame) for one in frame.data]
    costs = [
        one.value
        for one in data
        if isinstance(one, ProcessingMetricsData) and "Entrain" in one.processor and one.value
    ]
    assert len(costs) == 1
    assert 0 < costs[0] < 5


def test_word_by_word_the_first_word_is_planned_for(usual: Entrainer, wizard: WizardOfOz):
    host = Host(
        another(usual, wizard).conversation(),
        lambda _: Spoken(text_aggregation_mode=TextAggregationMode.TOKEN),
    )
    host.send(reply("We open"))
    assert all(speed is not None for _, speed in host.tts.asked)
    assert "".join(text for text, _ in host.tts.asked) == "Weopen"


def test_a_greeting_is_a_reply(host: Host):
    host.send(f.TTSSpeakFrame("Good morning."), pause(), reply(TEXT))
    assert [text for text, _ in host.tts.asked] == [
        "Good morning.",
        "We open at nine.",
        "The door is on the left.",
    ]
    assert all(speed for _, speed in host.tts.asked)
    assert [turn.text for turn in host.talk.turns] == ["Good morning.", TEXT]


def test_what_is_not_spoken_is_not_planned(host: Host):
    silent = reply(TEXT)
    for frame in silent[:-1]:
        frame.skip_tts = True  # type: ignore[attr-defined]
    host.send(silent)
    assert not host.tts.asked
    assert not host.talk.turns


def test_two_replies_at_once(host: Host):
    host.send(reply("Let me look.")[:-1], reply("It is open."))
    assert [turn.text for turn in host.talk.turns] == ["Let me look.", "It is open."]
    assert all(turn.plan for turn in host.talk.turns)


def test_an_interruption_ends_what_is_held_and_what_is_said(host: Host, speech: Audio):
    kept = f.FunctionCallResultFrame("f", "1", {}, "done")
    held = [f.LLMFullResponseStartFrame(), f.LLMTextFrame("It is"), kept, pause()]
    host.send(
        turn(speech),
        reply(TEXT)[:-2],
        pause(),
        f.InterruptionFrame(),
        pause(),
        held,
        f.InterruptionFrame(),
        pause(),
        reply("Sorry?"),
    )
    assert [text for text, _ in host.tts.asked][-1] == "Sorry?"
    assert kept in host.down
    assert "It is" not in [text for text, _ in host.tts.asked]
    cut = next(turn for turn in host.talk.turns if turn.speaker == "agent")
    assert TEXT.startswith(cut.text)


class Slow(Spoken):
    """Its sound comes later, by another way, as over a WebSocket."""

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[f.Frame | None, None]:
        self.asked.append((text, self.settings.speed))  # type: ignore[attr-defined]
        self.create_task(self._sounds(context_id))
        yield None

    async def _sounds(self, context_id: str) -> None:
        await asyncio.sleep(0.6)
        await self.append_to_audio_context(
            context_id, f.TTSAudioRawFrame(bytes(9_600), 24_000, 1, context_id=context_id)
        )
        await self.remove_audio_context(context_id)


class Hurries:
    """Over the hours only."""

    name = "hurries"

    def predict(self, history: History, text: str) -> Prediction:
        return Prediction(np.ones(len(FEATURES)), np.full(len(FEATURES), float("nine" in text)))


def test_a_voice_is_not_told_in_the_middle_of_another_reply(usual: Entrainer):
    """Some services connect anew at each change: what is still to come of the reply before would be lost."""
    host = Host(another(usual, Hurries()).conversation(), make=lambda _: Slow())
    host.send(reply("Let me look.")[:-1], pause(0.3), reply(TEXT), pause(1.0), reply(TEXT), pause(1.0))
    assert [speed for _, speed in host.tts.asked[:3]] == [None] * 3
    assert all(speed for _, speed in host.tts.asked[3:])
    first, second, third = host.talk.turns
    assert [any("in the middle" in note for note in turn.notes) for turn in (first, second, third)] == [
        False,
        True,
        False,
    ]


def test_settings_that_the_service_does_not_have(usual: Entrainer, wizard: WizardOfOz):
    """Levers of one's own, with a wrong name."""
    host = Host(another(usual, wizard).conversation(), levers=rate("volume_of_speed", 0.5, 2))
    host.send(reply(TEXT))
    assert [text for text, _ in host.tts.asked] == ["We open at nine.", "The door is on the left."]
    assert any("could not be told" in note for note in host.talk.turns[-1].notes)


# --- frames that are missing, or come twice ---------------------------------------------------------------------------


def test_nobody_says_that_a_turn_begins(host: Host, speech: Audio):
    frames = [
        one
        for one in turn(speech)
        if not isinstance(one, (f.VADUserStartedSpeakingFrame, f.UserStartedSpeakingFrame))
    ]
    host.send(frames, reply(TEXT))
    assert [turn.text for turn in host.talk.turns] == ["When do you open today?", TEXT]


def test_nobody_says_that_a_turn_ends(host: Host, speech: Audio):
    frames = [one for one in turn(speech) if not isinstance(one, f.UserStoppedSpeakingFrame)]
    host.send(frames, reply(TEXT))
    assert [turn.text for turn in host.talk.turns] == ["When do you open today?", TEXT]
    assert host.talk.turns[0].features.f0_mean_st is not None


def test_everything_twice(host: Host, speech: Audio):
    twice = [
        one for frame in turn(speech) for one in ([frame, _again(frame)] if _is_event(frame) else [frame])
    ]
    host.send(twice, reply(TEXT))
    assert [turn.speaker for turn in host.talk.turns] == ["user", "agent"]


def _is_event(frame: f.Frame) -> bool:
    return isinstance(
        frame,
        (
            f.VADUserStartedSpeakingFrame,
            f.UserStartedSpeakingFrame,
            f.VADUserStoppedSpeakingFrame,
            f.UserStoppedSpeakingFrame,
        ),
    )


def _again(frame: f.Frame) -> f.Frame:
    return type(frame)()


def test_a_reply_without_its_start_or_end(host: Host):
    host.send(
        reply(TEXT)[1:],
        [f.LLMFullResponseStartFrame(), f.LLMTextFrame("Yes")],
        reply("And no."),
        f.LLMFullResponseEndFrame(),
    )
    assert [text for text, _ in host.tts.asked][:2] == ["We open at nine.", "The door is on the left."]
    assert "And no." in [text for text, _ in host.tts.asked][-1]
    assert all(speed for _, speed in host.tts.asked)


def test_a_host_that_never_tells_of_replies(host: Host, wizard: WizardOfOz, speech: Audio):
    words = [f.TextFrame(text) for text in ("We open at nine. ", "The door is on the left. ", "So ")]
    host.send(words, pause(), turn(speech), [f.TextFrame("Yes. "), f.TextFrame("Until five.")], pause())
    replies = [turn for turn in host.talk.turns if turn.speaker == "agent"]
    assert [turn.plan is not None for turn in replies] == [True, True]
    assert replies[0].text.startswith("We open at nine.")


def test_audio_that_is_none(host: Host, speech: Audio):
    odd = [
        f.InputAudioRawFrame(b"\x00", RATE_HZ, 1), f.InputAudioRawFrame(b"", RATE_HZ, 1), f.InputAudioRawFrame(b"ab" * 99, 0, 1),
        f.InputAudioRawFrame(b"abc" * 99, RATE_HZ, 2),
    ]  # fmt: skip
    host.send(odd, turn(speech), odd, reply(TEXT))
    user, agent = host.talk.turns
    assert user.features.f0_mean_st is not None
    assert agent.text == TEXT
    assert not host.sent(f.ErrorFrame)


def test_two_channels_are_averaged(host: Host, speech: Audio):
    both = np.repeat((speech.samples * 32_767).astype("<i2"), 2).tobytes()
    frames = turn(speech)
    frames[2:-6] = [f.InputAudioRawFrame(both, speech.rate_hz, 2)]
    host.send(frames, reply(TEXT))
    user = host.talk.turns[0]
    assert user.end_s - user.start_s == pytest.approx(speech.duration_s, abs=0.1)


def test_no_audio_at_all(host: Host):
    host.send(turn(Audio.empty(RATE_HZ)), reply(TEXT))
    user, agent = host.talk.turns
    assert user.features.f0_mean_st is None
    assert (user.text, agent.text) == ("When do you open today?", TEXT)


def test_ten_minutes_of_one_turn(host: Host, speech: Audio):
    long = [frame for _ in range(600) for frame in sound(speech.part(0.3, 1.3), chunk=RATE_HZ)]
    frames = turn(speech)
    frames[2:-6] = long
    host.send(frames, pause(3), reply(TEXT))
    user = host.talk.turns[0]
    assert user.end_s - user.start_s <= 121
    assert host.talk.turns[-1].text == TEXT


class Fails:
    name = "fails"

    def predict(self, history: History, text: str) -> Prediction:
        raise RuntimeError("no idea")


class Sleeps:
    name = "sleeps"

    def predict(self, history: History, text: str) -> Prediction:
        time.sleep(0.5)
        return Prediction.nothing()


def test_a_strategy_that_fails(usual: Entrainer, speech: Audio):
    host = Host(another(usual, Fails()).conversation()).send(turn(speech), reply(TEXT))
    assert [text for text, _ in host.tts.asked] == ["We open at nine.", "The door is on the left."]
    assert [speed for _, speed in host.tts.asked] == [None, None]
    assert not host.sent(f.ErrorFrame)


def test_a_strategy_that_is_late(usual: Entrainer):
    host = Host(another(usual, Sleeps()).conversation())
    host.aside.settle_s = 0.02
    host.send(reply(TEXT))
    assert host.aside.late == 1
    assert [text for text, _ in host.tts.asked] == ["We open at nine.", "The door is on the left."]


def test_the_pipeline_ends_in_the_middle(host: Host, speech: Audio):
    host.send(turn(speech)[:-4], f.CancelFrame())
    assert [turn.speaker for turn in host.talk.turns] == ["user"]
    host.aside.user_audio(b"ab", RATE_HZ)
    host.aside.user_ended("late")
    asyncio.run(host.aside.close())
    assert len(host.talk.turns) == 1, "what comes after the end is nothing"
