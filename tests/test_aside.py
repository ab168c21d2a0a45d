"""A conversation beside an event loop: the host's events may come in any order, late, twice or never; the loop is not kept waiting."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from entrain.aside import BEFORE_S, MAX_TURN_S, Aside, first_words
from entrain.audio import Audio
from entrain.conversation import Conversation, Entrainer
from entrain.history import History
from entrain.strategy import Prediction
from entrain.targets import Targets
from entrain.testing import SAID, USER, Failing, spoken

RATE_HZ = 16_000
USUAL_S = 5.0  # tests share two cores with others


@pytest.fixture(scope="module")
def agent() -> Iterator[Entrainer]:
    with Entrainer.load(strategy="weighted", recogniser=None) as agent:
        yield agent


@pytest.fixture(scope="module")
def user() -> bytes:
    return pcm(spoken(USER[0]))


@pytest.fixture
def talk(agent: Entrainer) -> Conversation:
    return agent.conversation()


def pcm(audio: Audio) -> bytes:
    return (audio.samples * 32767).astype("<i2").tobytes()


def chunks(sound: bytes) -> Iterator[bytes]:
    yield from (sound[at : at + 640] for at in range(0, len(sound), 640))


def heard(aside: Aside, sound: bytes, text: str | None = USER[0]) -> None:
    """A user's turn as it should be told."""
    aside.user_began()
    for chunk in chunks(sound):
        aside.user_audio(chunk, RATE_HZ)
    aside.user_ended(text)


def run(aside: Aside, action: Any = None) -> list[str]:
    """What was said, once all is settled: "user: …", "agent: …"."""

    async def all_of_it() -> None:
        if action:
            await action
        await aside.close()

    asyncio.run(all_of_it())
    return [f"{turn.speaker}: {turn.text}" for turn in aside.talk.turns]


# --- the same as the three calls ----------------------------------------------------------------------------------------


def test_it_is_the_three_calls(agent: Entrainer, talk: Conversation, user: bytes):
    """The same features, to the bit, and the same targets as without it."""
    plain, aside, found = agent.conversation(), Aside(talk, USUAL_S), []
    plain.hear(Audio.from_pcm16(user, RATE_HZ), USER[0])
    heard(aside, user)

    async def reply() -> None:
        found.append(await aside.plan(SAID[0]))

    run(aside, reply())
    assert found == [plain.plan(SAID[0])]
    assert found[0].weight_f0 > 0
    assert talk.turns[0].features == plain.turns[0].features


def test_sound_from_before_the_turn_was_known_to_begin(talk: Conversation, user: bytes):
    """Half a second of it, however long nobody spoke before."""
    aside = Aside(talk)
    for chunk in chunks(bytes(2 * 60 * RATE_HZ) + user):  # a minute of silence: then speech, told too late
        aside.user_audio(chunk, RATE_HZ)
    heard(aside, user)
    run(aside)
    turn = talk.turns[0]
    assert turn.features.duration_s == pytest.approx(len(user) / 2 / RATE_HZ + BEFORE_S, abs=0.03)


def test_the_clock_is_real(talk: Conversation, user: bytes):
    """Latencies are what they were: the turn begins when it was said to, less what came before it."""
    aside = Aside(talk)
    time.sleep(0.3)
    aside.user_began()
    aside.user_audio(user, RATE_HZ)
    aside.user_ended("")
    run(aside)
    assert 0.25 < talk.turns[0].start_s < 2


# --- events out of order -------------------------------------------------------------------------------------------------


def test_events_that_come_twice(talk: Conversation, user: bytes):
    aside = Aside(talk, USUAL_S)
    aside.user_began()
    heard(aside, user)
    aside.user_ended(None)
    aside.user_ended("")

    async def reply() -> None:
        await aside.plan(SAID[0])
        aside.agent_audio(user, RATE_HZ)
        aside.agent_ended()
        aside.agent_ended()
        aside.agent_cut()

    assert run(aside, reply()) == [f"user: {USER[0]}", f"agent: {SAID[0]}"]
    assert talk.turns[0].features.duration_s == pytest.approx(len(user) / 2 / RATE_HZ)


def test_events_that_never_come(talk: Conversation, user: bytes):
    """A turn that never began, a reply that never ended, and the same again; a turn of words alone; and nothing at all."""
    aside = Aside(talk, USUAL_S)

    async def talking() -> None:
        aside.user_audio(user[: RATE_HZ // 2], RATE_HZ)
        aside.user_ended(USER[0])
        await aside.plan(SAID[0])
        aside.agent_audio(user, RATE_HZ)
        aside.user_ended(USER[1])
        await aside.plan(SAID[1])
        await aside.plan(SAID[2])

    said = run(aside, talking())
    assert said == [
        f"user: {USER[0]}",
        f"agent: {SAID[0]}",
        f"user: {USER[1]}",
        f"agent: {SAID[1]}",
        f"agent: {SAID[2]}",
    ]
    assert talk.turns[0].features.duration_s == pytest.approx(RATE_HZ // 2 / 2 / RATE_HZ)
    assert talk.turns[2].features.missing["f0_mean_st"]


def test_a_turn_under_way_is_kept_at_the_end(talk: Conversation, user: bytes):
    aside = Aside(talk)
    aside.user_began()
    aside.user_audio(user, RATE_HZ)
    assert run(aside) == ["user: "]
    assert talk.turns[0].features.f0_mean_st is not None
    aside.user_began()  # after the end: told once, and nothing happens
    heard(aside, user)
    aside.agent_ended("Anything?")
    assert len(talk.turns) == 1


def test_a_reply_that_is_cut_before_it_sounds_was_never_said(talk: Conversation):
    aside = Aside(talk, USUAL_S)

    async def talking() -> None:
        await aside.plan(SAID[0])
        aside.agent_cut()

    assert run(aside, talking()) == []


def test_a_reply_that_is_cut(talk: Conversation, user: bytes):
    aside = Aside(talk, USUAL_S)

    async def talking() -> None:
        await aside.plan(" ".join(SAID))
        aside.agent_audio(bytes(2 * 10 * RATE_HZ), RATE_HZ)  # made faster than it plays
        await asyncio.sleep(0.5)
        aside.agent_cut()

    (said,) = run(aside, talking())
    turn = talk.turns[0]
    assert 0.4 < turn.end_s - turn.start_s < 3
    assert " ".join(SAID).startswith(said.removeprefix("agent: "))
    assert said.count(" ") < " ".join(SAID).count(" ")


def test_words_of_a_share():
    assert first_words("We open at nine.", 0) == ""
    assert first_words("We open at nine.", 1) == first_words("We open at nine.", 7) == "We open at nine."
    assert first_words("We open at nine.", 0.6) == "We open at"


# --- what is wrong is told once, and the talk goes on -----------------------------------------------------------------------


def test_sound_that_is_none(talk: Conversation, user: bytes, caplog: pytest.LogCaptureFixture):
    aside = Aside(talk, USUAL_S)
    aside.user_began()
    for wrong in (b"odd", b"RIFF half a wav", None, "text"):
        for _ in range(3):
            aside.user_audio(wrong, RATE_HZ)  # pyright: ignore[reportArgumentType]
    aside.user_audio(user, 1)  # no rate
    aside.user_audio(user, RATE_HZ)
    aside.user_ended(USER[0])
    assert run(aside) == [f"user: {USER[0]}"]
    assert talk.turns[0].features.f0_mean_st is not None
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(told) <= 2, "once each step"


def test_ten_minutes_are_no_turn(talk: Conversation, caplog: pytest.LogCaptureFixture):
    aside = Aside(talk)
    aside.user_began()
    second = pcm(Audio(np.random.default_rng(0).normal(0, 0.01, RATE_HZ).astype(np.float32), RATE_HZ))
    for _ in range(600):
        aside.user_audio(second, RATE_HZ)
    aside.user_ended("")
    run(aside)
    assert talk.turns[0].features.duration_s == pytest.approx(MAX_TURN_S)
    assert sum("longer than 120 s" in r.getMessage() for r in caplog.records) == 1


def test_a_stream_that_changes_its_rate(agent: Entrainer, user: bytes):
    """In the middle of a turn it is brought to the turn's; in a reply the rest is left out, and told."""
    talk = agent.conversation()
    aside, half = Aside(talk, USUAL_S), len(user) // 4 * 2
    aside.user_audio(user[:320], RATE_HZ)
    aside.user_began()
    aside.user_audio(user[320:half], RATE_HZ)
    aside.user_audio(pcm(Audio.from_pcm16(user[half:], RATE_HZ).resample(48_000)), 48_000)
    aside.user_ended(USER[0])
    run(aside)
    whole = agent.conversation().hear(Audio.from_pcm16(user, RATE_HZ), USER[0])
    assert talk.turns[0].features.f0_mean_st == pytest.approx(whole.features.f0_mean_st, abs=0.1)


def test_a_strategy_that_fails(agent: Entrainer, user: bytes):
    talk = agent.conversation()
    talk.entrainer = Entrainer(agent.tts, agent.voice, Failing(), worker=agent.worker)
    aside, found = Aside(talk, USUAL_S), []
    heard(aside, user)

    async def reply() -> None:
        found.append(await aside.plan(SAID[0]))

    assert run(aside, reply()) == [f"user: {USER[0]}", f"agent: {SAID[0]}"]
    assert found == [aside.neutral]


class Slow(Failing):
    """Thinks for half a second."""

    def predict(self, history: History, text: str) -> Prediction:
        time.sleep(0.5)
        return Prediction(np.ones(7), np.ones(7))


def test_a_plan_that_is_late_is_neutral_and_remembered_so(agent: Entrainer, user: bytes):
    talk = agent.conversation()
    talk.entrainer = Entrainer(agent.tts, agent.voice, Slow(), worker=agent.worker)
    aside, found = Aside(talk, settle_s=0.05), []

    async def reply() -> None:
        began_s = time.perf_counter()
        found.append(await aside.plan(SAID[0]))
        found.append(time.perf_counter() - began_s)

    run(aside, reply())
    assert found[0] == aside.neutral
    assert found[1] < 0.4
    assert aside.late == 1
    assert talk.turns[0].plan is None


# --- sound -------------------------------------------------------------------------------------------------------------------


async def _all(pieces: AsyncIterator[Audio]) -> list[Audio]:
    return [piece async for piece in pieces]


def test_our_own_voice_and_anybodys(agent: Entrainer, talk: Conversation):
    """Said by the agent's voice, or conditioned on the waveform: both have the targets."""
    aside = Aside(talk)
    targets = Targets.shifted(agent.voice, f0_shift_st=-2, rate_factor=0.9)
    usual = agent.tts.synthesise(SAID[1]).audio

    async def both() -> tuple[Audio, Audio, Audio]:
        pieces = await _all(aside.say(SAID[1], targets))
        said = Audio(np.concatenate([piece.samples for piece in pieces]), pieces[0].rate_hz)
        return (
            said,
            await aside.condition(usual, SAID[1], targets),
            await aside.condition(usual, SAID[1], aside.neutral),
        )

    said, moved, same = asyncio.run(both())
    before, *after = (agent.conversation().hear(audio, SAID[1]).features for audio in (usual, said, moved))
    for features in after:
        assert features.f0_mean_st - before.f0_mean_st == pytest.approx(-2, abs=0.5)
        assert features.rate_syll_s / before.rate_syll_s == pytest.approx(0.9, abs=0.05)
    assert same is usual, "bit for bit"
    assert asyncio.run(aside.condition(Audio.empty(16_000), "", targets)).duration_s == 0
    asyncio.run(aside.close())


def test_what_could_not_be_realised_is_kept(talk: Conversation):
    aside = Aside(talk, USUAL_S)

    async def reply() -> None:
        await aside.plan(SAID[0])
        aside.note("pitch, st: asked 2.00, given 0.00")
        aside.note("pitch, st: asked 2.00, given 0.00")

    run(aside, reply())
    assert talk.turns[0].notes.count("pitch, st: asked 2.00, given 0.00") == 1


# --- the event loop ------------------------------------------------------------------------------------------------------------


def test_the_loop_ticks_on(talk: Conversation, user: bytes):
    """While a turn is heard, planned for and spoken. (`python -m benchmarks` measures by how much; here the machine is shared.)"""
    aside, stalls_s = Aside(talk, USUAL_S), [0.0]

    async def tick() -> None:
        while True:
            before_s = time.perf_counter()
            await asyncio.sleep(0.001)
            stalls_s.append(time.perf_counter() - before_s)

    async def talking() -> None:
        ticker = asyncio.create_task(tick())
        for _ in range(3):
            heard(aside, user)
            targets = await aside.plan(SAID[1])
            async for audio in aside.say(SAID[1], targets):
                aside.agent_audio(pcm(audio), audio.rate_hz)
            aside.agent_ended()
        await aside.settled()
        ticker.cancel()

    run(aside, talking())
    assert len(stalls_s) > 50
    assert float(np.median(stalls_s)) < 0.02
    assert len(talk.turns) == 6
