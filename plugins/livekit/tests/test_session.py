"""Whole sessions, offline: the user is a voice, the ears are Silero's, the model is scripted, and what the loudspeaker played is measured."""

from __future__ import annotations

import asyncio
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit.agents import APIConnectOptions, tts
from livekit.agents.voice.agent_session import SessionConnectOptions
from sessions import Call, Fixed, Talker
from test_settings import service

from entrain import Audio, Entrainer, extract
from entrain.store import Store
from entrain.strategy import Neutral
from entrain.testing import Failing
from entrain.tts import Hibari, Knobs, TTSError
from livekit import rtc
from livekit.plugins import entrain
from livekit.plugins.entrain.voice import pcm16

PATIENCE_S = 10.0  # for targets: a loaded machine is not what is tested
USER = ("Good morning, when do you open today?", "And are you open on Sunday as well?")
SAID = ("We open at nine in the morning.", "Yes, from ten to four. We are closed on Monday, though.")
LOW, HIGH = Knobs(pitch_st=-2.0), Knobs(pitch_st=2.0)


def variant(agent: Entrainer, strategy: Any) -> Entrainer:
    return Entrainer(agent.tts, agent.voice, strategy, worker=agent.worker)


VOICE = Hibari()


@lru_cache
def says(text: str) -> Audio:
    """A service."""
    return VOICE.synthesise(text).audio


@lru_cache
def spoken(text: str, knobs: Knobs = Knobs()) -> Audio:
    """A user."""
    return VOICE.synthesise(text, knobs).audio.resample(16_000)


async def call_with(agent: Entrainer, voice: Any, speed: float = 8, **options: Any) -> Call:
    how: dict[str, Any] = {key: options.pop(key) for key in ("how", "levers") if key in options}
    entraining = entrain.EntrainAgent(entrainer=agent, instructions="You keep a shop.", **how)
    call = await Call(entraining, voice, speed=speed, **options).start()
    entraining.live.aside.settle_s = PATIENCE_S
    return call


async def talk(call: Call, knobs: Knobs = Knobs()) -> list[Audio]:
    """Two turns of the user and the replies to them, as they were heard."""
    for said, reply in zip(USER, SAID, strict=True):
        await call.user(spoken(said, knobs), said)
        await call.reply(reply)
    return call.loudspeaker.heard


async def turns_of(call: Call) -> Any:
    live = call.agent.live  # pyright: ignore[reportAttributeAccessIssue]
    await call.close()
    await live.aside.close()
    return live.aside.talk.turns


def pitch_st(heard: list[Audio]) -> float:
    return float(np.mean([extract(audio).f0_mean_st or 0.0 for audio in heard]))


def test_by_voice_alone_the_agent_goes_where_the_user_is(agent: Entrainer):
    """Silero hears when the user speaks; turns end as LiveKit ends them; the voice is ours."""

    async def to(knobs: Knobs) -> tuple[list[Audio], Any]:
        call = await call_with(agent, entrain.TTS(agent), speed=2, by_voice=True)
        heard = await talk(call, knobs)
        return heard, await turns_of(call)

    (low, turns), (high, _) = asyncio.run(to(LOW)), asyncio.run(to(HIGH))
    assert [turn.speaker for turn in turns] == ["user", "agent"] * 2
    assert [turn.text for turn in turns] == [USER[0], SAID[0], USER[1], SAID[1]]
    assert all(turn.features.f0_mean_st is not None for turn in turns)
    assert pitch_st(low) < pitch_st(high) - 0.3, "in what the loudspeaker played"


def test_any_voice_is_moved_on_its_waveform(agent: Entrainer):
    async def to(knobs: Knobs) -> tuple[list[Audio], Any]:
        voice = Fixed(says) if knobs == LOW else tts.StreamAdapter(tts=Fixed(says))
        call = await call_with(agent, voice)
        return await talk(call, knobs), await turns_of(call)

    (low, turns), (high, _) = asyncio.run(to(LOW)), asyncio.run(to(HIGH))
    assert pitch_st(low) < pitch_st(high) - 0.3
    assert [turn.text for turn in turns if turn.speaker == "agent"] == list(SAID)


def test_what_a_service_can_be_told_is_told_between_replies(agent: Entrainer):
    async def loud() -> tuple[Any, Any]:
        voice = service("cartesia", "sonic-3")
        voice.speak = says
        call = await call_with(agent, voice)
        for said, reply in zip(USER, SAID, strict=True):
            await call.user(spoken(said, HIGH).gain(8.0), said)
            await call.reply(reply)
        return voice, await turns_of(call)

    voice, turns = asyncio.run(loud())
    assert 1 <= len(voice.told) <= 3, "at most once a reply, and once to give it back"
    assert set(voice.told[0]) <= {"speed", "volume"}
    assert (voice._opts.speed, voice._opts.volume) == (1.0, 1.0), "as it was, after the session"
    assert any("pitch, st" in note for turn in turns for note in turn.notes), "what it can't is said"


def test_knobs_alone_never_wait_for_a_sentence(agent: Entrainer):
    async def loud() -> list[Audio]:
        call = await call_with(agent, Fixed(says), how="knobs")
        for said, reply in zip(USER, SAID, strict=True):
            await call.user(spoken(said).gain(8.0), said)
            await call.reply(reply)
        heard = call.loudspeaker.heard
        await turns_of(call)
        return heard

    usual, heard = says(SAID[0]), asyncio.run(loud())[0]
    assert np.isclose(len(heard.samples), len(usual.samples), atol=500), "only its level can differ"


def test_neutral_leaves_every_sample_as_it_is(agent: Entrainer):
    async def heard() -> Audio:
        call = await call_with(variant(agent, Neutral()), Fixed(lambda _: says(SAID[0])))
        heard = await talk(call, HIGH)
        await turns_of(call)
        return heard[0]

    usual, kept = says(SAID[0]), asyncio.run(heard())
    n = min(len(usual.samples), len(kept.samples))
    assert np.abs(usual.samples[:n] - kept.samples[:n]).max() < 1e-4


def test_sound_that_is_made_early_still_follows_the_turn(agent: Entrainer):
    async def early() -> Any:
        call = await call_with(agent, entrain.TTS(agent), speed=2, by_voice=True, early=True)
        call.script.lines = list(SAID)
        for n, said in enumerate(USER):
            await call.user(spoken(said, HIGH), said)
            await call.quiet(n)
        return await turns_of(call)

    turns = asyncio.run(early())
    assert [turn.text for turn in turns] == [USER[0], SAID[0], USER[1], SAID[1]], "each once, in order"
    assert turns[1].plan["weight_f0"] > 0, "the first reply is planned with the first turn heard"


def test_agents_that_hand_over_share_the_conversation(agent: Entrainer):
    async def hand_over() -> Any:
        call = await call_with(agent, Fixed(says))
        await call.user(spoken(USER[0]), USER[0])
        await call.reply(SAID[0])
        first = call.agent.live  # pyright: ignore[reportAttributeAccessIssue]
        call.agent = entrain.EntrainAgent(entrainer=agent, instructions="You keep the till.")
        call.session.update_agent(call.agent)
        while call.session.current_agent is not call.agent or len(call.ears.streams) < 2:
            await asyncio.sleep(0.02)
        assert call.agent.live is first
        await call.user(spoken(USER[1]), USER[1])
        await call.reply(SAID[1])
        return await turns_of(call)

    turns = asyncio.run(hand_over())
    assert [turn.text for turn in turns] == [USER[0], SAID[0], USER[1], SAID[1]]


def test_a_conversation_that_cannot_be_begun_leaves_the_session_as_it_is(agent: Entrainer, tmp_path: Path):
    class Broken(Store):
        def load(self, conversation_id: str) -> Any:
            raise OSError("the disk is gone")

    async def talks() -> list[Audio]:
        broken = Entrainer(
            agent.tts, agent.voice, agent.strategy, store=Broken(tmp_path / "x.sqlite"), worker=agent.worker
        )
        plain = entrain.EntrainAgent(entrainer=broken, instructions="You keep a shop.")
        call = await Call(plain, Fixed(says), speed=8).start()
        assert plain.live is None
        heard = await talk(call)
        await call.close()
        return heard

    assert len(asyncio.run(talks())) == 2


# --- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_failing_strategy_leaves_the_voice_as_it_is(agent: Entrainer):
    async def talks() -> Any:
        failing = variant(agent, Failing())
        call = await call_with(failing, entrain.TTS(failing))
        await talk(call, HIGH)
        return await turns_of(call)

    turns = asyncio.run(talks())
    assert [turn.text for turn in turns if turn.speaker == "agent"] == list(SAID)


def test_settings_that_are_refused_do_not_stop_the_reply(agent: Entrainer, caplog: pytest.LogCaptureFixture):
    async def talks() -> list[Audio]:
        voice = service("cartesia", "sonic-3")
        voice.speak = says

        def refuse(**_: Any) -> None:
            raise ValueError("no such option")

        voice.update_options = refuse
        call = await call_with(agent, voice)
        heard = await talk(call, HIGH)
        await turns_of(call)
        return heard

    assert all(len(audio.samples) for audio in asyncio.run(talks()))
    assert caplog.text.count("the settings: no such option") == 1, "said once"


def test_our_voice_says_so_when_it_cannot_speak(agent: Entrainer):
    """LiveKit's own retries and fallbacks then do what they do for any service."""

    class Mute(Hibari):
        def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Any:
            raise TTSError("no voice today")

        def think(self, text: str) -> Any:
            raise TTSError("no voice today")

    async def talks() -> tuple[list[Any], Any]:
        mute = Entrainer(Mute(), agent.voice, agent.strategy, worker=agent.worker)
        once = SessionConnectOptions(tts_conn_options=APIConnectOptions(max_retry=0))
        call = await call_with(mute, entrain.TTS(mute), conn_options=once)
        errors: list[Any] = []
        call.session.on("error", errors.append)
        await call.user(spoken(USER[0]), USER[0])
        call.script.say(SAID[0])
        async with asyncio.timeout(20):
            while not errors:
                await asyncio.sleep(0.02)
        await call.user(spoken(USER[1]), USER[1])  # the session goes on
        return errors, await turns_of(call)

    errors, turns = asyncio.run(talks())
    assert "no voice today" in str(errors[0].error.error)
    assert [turn.text for turn in turns if turn.speaker == "user"] == list(USER)


def test_an_interrupted_reply_is_shorter(agent: Entrainer):
    async def talks() -> Any:
        call = await call_with(agent, Fixed(says))
        await call.user(spoken(USER[0]), USER[0])
        await call.reply(" ".join(SAID), stop_s=1.5)
        await call.user(spoken(USER[1]), USER[1])
        await call.reply(SAID[1])
        return await turns_of(call)

    _, cut, _, whole = asyncio.run(talks())
    assert len(cut.text) < len(" ".join(SAID))
    assert " ".join(SAID).startswith(cut.text)
    assert cut.end_s - cut.start_s < 3.0
    assert whole.text == SAID[1]


def test_a_loudspeaker_that_does_not_tell_when_it_begins(agent: Entrainer):
    async def talks() -> Any:
        call = await call_with(agent, Fixed(says))
        call.loudspeaker.tells_start = False
        await talk(call)
        return await turns_of(call)

    assert [turn.text for turn in asyncio.run(talks()) if turn.speaker == "agent"] == list(SAID)


def test_events_that_come_twice_or_alone(agent: Entrainer):
    async def talks() -> Any:
        call = await call_with(agent, Fixed(says))
        live = call.agent.live  # pyright: ignore[reportAttributeAccessIssue]
        call.ears.begins()
        call.ears.begins()
        call.ears.ends()  # a cough: nothing was said
        await asyncio.sleep(0.1)
        await call.user(spoken(USER[0]), USER[0])
        await call.reply(SAID[0])
        live.user_ended("")
        call.loudspeaker.on_playback_started(created_at=time.time())
        call.loudspeaker.emit("playback_finished", object())
        await call.reply(SAID[1])
        return await turns_of(call)

    turns = asyncio.run(talks())
    assert [turn.text for turn in turns if turn.text] == [USER[0], SAID[0], SAID[1]]


def test_sound_of_any_kind_passes(agent: Entrainer):
    """Frames that are empty, in stereo, at another rate, with half a sample: the host's recogniser gets them as they are."""
    rates = (8_000, 16_000, 48_000)
    odd = [
        rtc.AudioFrame(b"\1\0" * (rate // 50) * channels, rate, channels, rate // 50)
        for rate in rates
        for channels in (1, 2)
    ]
    odd.append(rtc.AudioFrame(b"", 16_000, 1, 0))

    async def passes() -> int:
        call = await call_with(agent, Fixed(says))
        live = call.agent.live  # pyright: ignore[reportAttributeAccessIssue]
        for frame in odd:
            live.hear(frame)
        call.ears.begins()
        await asyncio.sleep(0.1)
        for frame in odd:
            live.hear(frame)
        live.hear(None)
        await call.user(spoken(USER[0]), USER[0])
        await call.reply(SAID[0])
        return len(await turns_of(call))

    assert asyncio.run(passes()) == 2


def test_a_very_long_turn_is_heard_in_part(agent: Entrainer):
    async def long() -> Any:
        call = await call_with(agent, Fixed(says))
        live = call.agent.live  # pyright: ignore[reportAttributeAccessIssue]
        second = rtc.AudioFrame(pcm16(spoken(USER[0]).part(0.5, 1.5)), 16_000, 1, 16_000)
        call.ears.begins()
        await asyncio.sleep(0.1)
        for _ in range(600):
            live.hear(second)
        await call.user(spoken(USER[0]), USER[0])
        await call.reply(SAID[0])
        return await turns_of(call)

    user, agent_turn = asyncio.run(long())
    assert 100 < user.end_s - user.start_s < 130
    assert agent_turn.text == SAID[0]


def test_closing_in_the_middle_keeps_what_was_said(agent: Entrainer):
    async def closes() -> Any:
        call = await call_with(agent, Fixed(says))
        await call.user(spoken(USER[0]), USER[0])
        call.script.say(" ".join(SAID))
        while call.loudspeaker.position_s < 1.0:
            await asyncio.sleep(0.01)
        return await turns_of(call)

    user, cut = asyncio.run(closes())
    assert user.text == USER[0]
    assert 0 < len(cut.text) < len(" ".join(SAID))


def test_the_event_loop_goes_on(agent: Entrainer):
    """Only a bound that no machine misses; `python -m benchmarks --only plug_livekit` measures it."""

    async def ticks() -> float:
        longest_s, last_s = 0.0, time.perf_counter()

        async def tick() -> None:
            nonlocal longest_s, last_s
            while True:
                await asyncio.sleep(0.001)
                now_s = time.perf_counter()
                longest_s, last_s = max(longest_s, now_s - last_s), now_s

        call = await call_with(agent, Fixed(says))
        ticking = asyncio.create_task(tick())
        await talk(call, HIGH)
        ticking.cancel()
        await turns_of(call)
        return longest_s

    assert asyncio.run(ticks()) < 2.0


def test_a_model_that_speaks_itself_is_moved_as_it_speaks(agent: Entrainer):
    async def to(knobs: Knobs, how: str) -> tuple[list[Audio], Any]:
        call = await call_with(agent, None, how=how, talker=Talker(says))
        for said, reply in zip(USER, SAID, strict=True):
            await call.talk_to_model(spoken(said, knobs), reply)
        return call.loudspeaker.heard, await turns_of(call)

    (low, turns), (high, _) = asyncio.run(to(LOW, "auto")), asyncio.run(to(HIGH, "auto"))
    assert pitch_st(low) < pitch_st(high) - 0.3
    assert [turn.speaker for turn in turns] == ["user", "agent"] * 2
    assert all(turn.features.f0_mean_st is not None for turn in turns), "its microphone is listened in to"
    assert [turn.text for turn in turns if turn.speaker == "agent"] == list(SAID)
    kept, _ = asyncio.run(to(HIGH, "knobs"))
    assert abs(pitch_st(kept) - pitch_st([says(reply) for reply in SAID])) < 0.05, "gain only"
