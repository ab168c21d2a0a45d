"""hear, plan, say, spoke: the whole loop on real speech, and everything that can go wrong in it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time

import numpy as np
import pytest

from entrain import Audio, Entrainer, Policy, Targets
from entrain.conditioning import Ask, measure, psola
from entrain.converse import user_turns
from entrain.store import Store
from entrain.strategy import Matching, Neutral, Weighted
from entrain.swift import without_lead
from entrain.tts import Capability, Knobs, Rendition, TTSError

REPLIES = ["That is a strong way to begin, please go on.", "And what did people believe in those days?",
           "I see, so there was light and darkness at once."]  # fmt: skip


@pytest.fixture(scope="module")
def agent():
    with Entrainer.load() as agent:
        yield agent


@pytest.fixture
def fresh(agent, monkeypatch):
    """The same agent with its settings put back afterwards."""
    for name in ("strategy", "policy", "store", "tts", "recogniser", "keep_audio", "native"):
        monkeypatch.setattr(agent, name, getattr(agent, name))
    return agent


def moved(audio: Audio, f0_st: float, duration_x: float) -> Audio:
    return psola(audio, Ask(f0_st=f0_st, duration_x=duration_x), measure(Rendition(audio, ""))[1])


def replies_to(
    agent: Entrainer, turns: list[Audio], texts: list[str] | None = None, register="any"
) -> np.ndarray:
    """Mean pitch (st) and rate (syll/s) of the agent's replies, `(2,)`."""
    with agent.conversation(register=register) as talk:
        for i, reply in enumerate(REPLIES):
            talk.hear(turns[i % len(turns)], texts[i] if texts else None)
            talk.say(reply)
        assert not [turn.fault for turn in talk.turns if turn.fault]
        return np.mean(
            [[t.features.f0_mean_st, t.features.rate_syll_s] for t in talk.history.by("agent")], axis=0
        )


@pytest.fixture(scope="module")
def reading() -> list[Audio]:
    """Phrases of a real reading (Dickens, LibriVox), which comes inside moonshine-voice."""
    from importlib.resources import files
    from pathlib import Path

    return user_turns([Path(str(files("moonshine_voice").joinpath("assets/two_cities.wav")))], split_s=0.5)[
        :3
    ]


# --- the main job -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [Matching(), Weighted()], ids=lambda s: s.name)
@pytest.mark.parametrize("register", ["any", "low"])
def test_slow_low_and_fast_high_users_get_different_replies(fresh, reading, strategy, register):
    fresh.strategy = strategy
    slow_low = replies_to(fresh, [moved(turn, -3, 1.3) for turn in reading], register=register)
    fast_high = replies_to(fresh, [moved(turn, 3, 0.77) for turn in reading], register=register)
    fresh.strategy = Neutral()
    neutral = replies_to(fresh, reading)
    assert fast_high[0] - slow_low[0] > 1.0, "a semitone is heard"
    assert fast_high[1] / slow_low[1] > 1.05, "so is five per cent of rate"
    assert slow_low[0] < neutral[0]
    if register == "low":  # 137 Hz is high for a low voice, not for people
        assert neutral[0] < fast_high[0]


def test_disentrainment_goes_the_other_way(fresh, reading):
    fresh.strategy, fresh.policy = Matching(), Policy(sign=-1)
    slow_low = replies_to(fresh, [moved(turn, -3, 1.3) for turn in reading])
    fast_high = replies_to(fresh, [moved(turn, 3, 0.77) for turn in reading])
    assert fast_high[0] < slow_low[0]
    assert fast_high[1] < slow_low[1]


def test_real_two_channel_speakers_get_replies_in_their_own_direction(fresh, data):
    """Side A speaks higher (150 Hz against 118), and each side made slow or fast is answered so."""
    turns = {side: two_channel_turns(data, side) for side in "AB"}
    fresh.strategy = Matching()
    f0 = {}
    for side, (sounds, texts) in turns.items():
        slow = replies_to(fresh, [moved(turn, -3, 1.3) for turn in sounds], texts)
        fast = replies_to(fresh, [moved(turn, 3, 0.77) for turn in sounds], texts)
        assert fast[0] - slow[0] > 1.0
        assert fast[1] / slow[1] > (1.05 if side == "A" else 1.0), (
            "B's three turns are short: two of four syllables"
        )
        f0[side] = replies_to(fresh, sounds, texts)[0]
    assert f0["A"] > f0["B"]


def two_channel_turns(data, side: str) -> tuple[list[Audio], list[str]]:
    """The three longest turns of a side of the dialogue, by its word times, in order."""
    audio = Audio.read(data / "two_channel" / f"examples_data_test-{side}.wav")
    words = [line.split(maxsplit=2) for line in
             (data / "two_channel" / f"examples_data_test-{side}.words").read_text(encoding="utf-8").splitlines()]  # fmt: skip
    turns: list[list[tuple[float, float, str]]] = [[]]
    for start, end, word in words:
        if word == "#" and float(end) - float(start) >= 0.5:
            turns.append([])
        elif word != "#":
            turns[-1].append((float(start), float(end), word))
    longest = sorted(
        sorted((t for t in turns if t), key=lambda t: t[0][0] - t[-1][1])[:3], key=lambda t: t[0][0]
    )
    return [audio.part(t[0][0], t[-1][1]) for t in longest], [" ".join(w for _, _, w in t) for t in longest]


def test_strength_0_gives_the_voice_bit_for_bit(fresh, reading):
    fresh.policy = Policy(strength=0)
    with fresh.conversation() as talk:
        talk.hear(reading[0], "it was the best of times")
        speech = talk.say(REPLIES[0])
    np.testing.assert_array_equal(speech.audio.samples, fresh.tts.synthesise(REPLIES[0]).audio.samples)


def test_what_is_remembered_is_what_was_realised_not_what_was_planned(fresh, reading):
    fresh.strategy = Matching()
    with fresh.conversation() as talk:
        talk.hear(moved(reading[0], 3, 0.8), "it was the best of times it was the worst of times")
        speech = talk.say(REPLIES[0])
    turn = talk.turns[-1]
    assert turn.features.f0_mean_st == speech.realised.f0_mean_st != turn.plan["f0_mean_st"]
    assert turn.realised["f0_mean_st"] == turn.features.f0_mean_st
    assert abs(turn.realised["f0_mean_st"] - turn.plan["f0_mean_st"]) < 0.3


def test_words_are_recognised_when_not_given(fresh, reading):
    with fresh.conversation() as talk:
        turn = talk.hear(reading[0])
    assert "best of times" in turn.text
    assert turn.features.rate_source == "words"


def test_heard_while_spoken_equals_heard_whole(fresh, reading):
    with fresh.conversation() as talk:
        hearing = talk.listen(reading[0].rate_hz)
        for start in range(0, len(reading[0].samples), 777):
            hearing.feed(reading[0].samples[start : start + 777])
        assert talk.hear(hearing, "the same").features == talk.hear(reading[0], "the same").features


def test_native_pitch_reaches_the_same_aim(fresh, reading):
    fresh.native = True
    targets = Targets.shifted(fresh.voice, f0_shift_st=1.5)
    speech = fresh.conversation().say(REPLIES[0], targets)
    assert abs(speech.realised.f0_mean_st - speech.realised.aim_f0_mean_st) < 0.3


def test_a_host_with_its_own_voice_says_what_it_spoke(fresh, reading):
    own = fresh.tts.synthesise("We open at nine.").audio
    with fresh.conversation() as talk:
        talk.hear(reading[0], "it was")
        targets = talk.plan("We open at nine.")
        turn = talk.spoke("We open at nine.", own, targets)
    assert turn.speaker == "agent"
    assert turn.features.f0_mean_st is not None
    assert turn.plan["f0_shift_st"] == targets.f0_shift_st


# --- memory -------------------------------------------------------------------------------------------------------


def test_a_conversation_goes_on_after_a_restart(fresh, reading, tmp_path):
    fresh.store = Store(tmp_path / "talks.sqlite")
    with fresh.conversation("kiosk-7") as talk:
        talk.hear(reading[0], "it was the best of times")
        talk.say(REPLIES[0])
        aim = talk.plan(REPLIES[1])
    fresh.store = Store(tmp_path / "talks.sqlite")
    with fresh.conversation("kiosk-7") as talk:
        assert [turn.speaker for turn in talk.turns] == ["user", "agent"]
        assert talk.plan(REPLIES[1]) == aim


def test_store_gone_mid_conversation_loses_nothing(fresh, reading, tmp_path, caplog):
    fresh.store = Store(tmp_path / "talks.sqlite")
    with fresh.conversation("k") as talk:
        talk.hear(reading[0], "one")
        fresh.store.close()
        (tmp_path / "talks.sqlite").rename(tmp_path / "away")
        (tmp_path / "talks.sqlite").mkdir()  # nothing can be opened there now
        with caplog.at_level(logging.ERROR):
            for text in ("two", "three"):
                assert "store" not in talk.hear(reading[0], text).text
        assert sum("store failed" in record.message for record in caplog.records) == 1, "logged once"
        (tmp_path / "talks.sqlite").rmdir()
        (tmp_path / "away").rename(tmp_path / "talks.sqlite")
        talk.say(REPLIES[0])
    assert [turn.text for turn in Store(tmp_path / "talks.sqlite").all_turns("k")] == [
        "one",
        "two",
        "three",
        REPLIES[0],
    ]


def test_audio_is_kept_only_on_request_and_forgotten_with_the_rest(fresh, reading, tmp_path):
    fresh.store = Store(tmp_path / "talks.sqlite")
    with fresh.conversation("../odd id") as talk:
        assert talk.hear(reading[0], "one").audio_file == ""
    fresh.keep_audio = tmp_path / "kept"
    with fresh.conversation("../odd id") as talk:
        kept = talk.hear(reading[0], "two").audio_file
        assert Audio.read(kept).rate_hz == reading[0].rate_hz
        assert (tmp_path / "kept") in __import__("pathlib").Path(kept).parents
    assert fresh.forget("../odd id")
    assert not __import__("pathlib").Path(kept).exists()
    assert Store(tmp_path / "talks.sqlite").list() == []
    assert not fresh.forget("../odd id")


def test_what_is_forgotten_while_the_talk_goes_on_stays_forgotten(fresh, reading, tmp_path):
    fresh.store = Store(tmp_path / "talks.sqlite")
    with fresh.conversation("k") as talk:
        talk.hear(reading[0], "secret")
        assert fresh.forget("k")
        talk.hear(reading[0], "after")
    assert [turn.text for turn in Store(tmp_path / "talks.sqlite").all_turns("k")] == ["after"]


# --- bad input: neutral, logged once, nothing lost ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "reason"),
    [(np.zeros(0), "too short"), (np.zeros(1), "too short"), (np.zeros(16_000), "unvoiced"), (np.full(16_000, 0.3), "unvoiced")],
    ids=["empty", "one sample", "silence", "DC"],
)  # fmt: skip
def test_nothing_to_measure_is_a_turn_with_masked_features(fresh, samples, reason):
    with fresh.conversation() as talk:
        turn = talk.hear(Audio(samples.astype(np.float32), 16_000))
        assert turn.text == "", "recognisers make up words for silence"
        assert not turn.features.valid.any()
        assert turn.features.missing["f0_mean_st"] == reason
        assert not turn.fault
        assert talk.plan("Hello.").neutral


def test_clipped_speech_keeps_pitch_and_rate(fresh, reading):
    loud = Audio(np.clip(reading[0].samples * 30, -1, 1), reading[0].rate_hz)
    with fresh.conversation() as talk:
        features = talk.hear(loud, "it was the best of times").features
    assert features.f0_mean_st is not None
    assert features.rate_syll_s is not None
    assert features.missing["level_db"] == "clipped"


def test_garbage_from_the_host_is_logged_once_and_the_talk_goes_on(fresh, reading, caplog):
    with fresh.conversation() as talk, caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert "hear needs an Audio" in talk.hear(b"RIFF", "hello").fault  # pyright: ignore
        assert sum("features failed" in record.message for record in caplog.records) == 1
        assert [turn.text for turn in talk.turns] == ["hello"] * 3
        assert not talk.hear(reading[0], "fine", start_s=float("nan")).fault
        assert talk.say(REPLIES[0]).audio.duration_s > 1


class FailsInTheMiddle:
    """A real voice that breaks down after its first sentence."""

    name, capability, rate_hz = "hibari:heart", Capability(), 24_000

    def __init__(self, inner):
        self.inner, self.said = inner, 0

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        self.said += 1
        if self.said == 2:
            raise TTSError("the cloud is gone")
        return self.inner.synthesise(text, knobs)


def test_a_voice_that_fails_in_the_middle_is_noted_and_the_next_reply_comes(fresh, caplog):
    fresh.tts = FailsInTheMiddle(fresh.tts)
    with fresh.conversation() as talk, caplog.at_level(logging.ERROR):
        first, second, third = (talk.say(reply) for reply in REPLIES)
    assert (first.fault, third.fault) == ("", "")
    assert "the cloud is gone" in second.fault
    assert len(second.audio.samples) == 0
    assert [turn.text for turn in talk.turns] == REPLIES


def test_a_strategy_that_fails_is_neutral(fresh, reading, caplog):
    class Broken:
        name = "broken"

        def predict(self, history, text):
            raise ZeroDivisionError

    fresh.strategy = Broken()
    with fresh.conversation() as talk, caplog.at_level(logging.ERROR):
        talk.hear(reading[0], "one")
        speech = talk.say(REPLIES[0])
    np.testing.assert_array_equal(speech.audio.samples, fresh.tts.synthesise(REPLIES[0]).audio.samples)


@pytest.mark.parametrize("text", ["", "   ", "🙂🙂", "…"])
def test_nothing_to_say_gives_no_samples_and_no_fault(fresh, text):
    speech = fresh.conversation().say(text)
    assert speech.fault == ""
    assert speech.turn.text == text


def test_five_thousand_characters_are_spoken_whole(fresh):
    text = ("There are three rooms free tonight, two with a view of the lake. " * 80)[:5000]
    speech = fresh.conversation().say(text, Targets.shifted(fresh.voice, f0_shift_st=1, rate_factor=1.1))
    assert speech.audio.duration_s > 150
    assert abs(speech.realised.f0_mean_st - speech.realised.aim_f0_mean_st) < 0.1


def test_the_worker_killed_in_the_middle_of_a_reply_is_replaced(fresh, reading):
    with fresh.conversation() as talk:
        os.kill(fresh.worker.run(os.getpid), signal.SIGKILL)
        turn = talk.hear(reading[0], "one")
        assert not turn.fault
        assert turn.features.f0_mean_st is not None
        assert not talk.say(REPLIES[0]).fault


def test_unknown_names_are_errors_at_the_door_that_list_the_choices():
    for options, choice in (
        ({"strategy": "mirror"}, "weighted"),
        ({"tts": "siri"}, "hibari"),
        ({"engine": "sox"}, "psola"),
    ):
        with pytest.raises((ValueError, RuntimeError), match=choice):
            Entrainer.load(recogniser=None, **options)


def test_an_event_loop_goes_on_while_a_turn_is_heard(fresh, reading):
    """`to_thread` is all that an asynchronous host needs: Praat is in another process."""

    async def host() -> float:
        longest_s, last = 0.0, time.perf_counter()
        with fresh.conversation() as talk:
            task = asyncio.create_task(asyncio.to_thread(talk.hear, reading[0], "it was the best of times"))
            while not task.done():
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                longest_s, last = max(longest_s, now - last), now
            await task
        return longest_s

    assert asyncio.run(host()) < 0.1, (
        "a thread alone would stall it for as long as Praat runs; `make bench` has the figure"
    )


REPLY = "That is a strong way to begin. And what did people believe in those days? I should like to know."


def as_one(pieces) -> Audio:
    return Audio(np.concatenate([piece.audio.samples for piece in pieces]), pieces[0].audio.rate_hz)


@pytest.mark.parametrize("swift", [True, False])
def test_a_reply_in_pieces_sounds_as_planned_and_is_remembered_as_played(fresh, reading, swift):
    with fresh.conversation() as talk:
        targets = Targets.shifted(
            fresh.voice, f0_shift_st=1.0 if swift else 3.5, rate_factor=1.12, level_shift_db=-2
        )
        talk.hear(reading[0], "it was the best of times")
        pieces = list(talk.pieces(REPLY, targets))
        assert len(talk.turns) == 1  # nothing is remembered yet
        assert [piece.number for piece in pieces] == ([0, 0, 0, 1, 2] if swift else [0, 1, 2])
        usual = Audio(
            np.concatenate([made.usual.samples for made in {p.number: p for p in pieces}.values()]), 24_000
        )
        turn = talk.spoke(REPLY, as_one(pieces), targets, usual=usual, notes=("a note",))
        assert turn.realised["f0_mean_st"] == pytest.approx(turn.plan["f0_mean_st"], abs=0.25)
        assert turn.realised["rate_syll_s"] == pytest.approx(turn.plan["rate_syll_s"], rel=0.02)
        assert turn.realised["level_db"] == pytest.approx(turn.plan["level_db"], abs=0.5)
        assert "a note" in turn.notes


def test_a_neutral_reply_in_pieces_is_the_voice_to_the_bit(fresh):
    with fresh.conversation() as talk:
        pieces = list(talk.pieces(REPLY, Targets.none(fresh.voice)))
        pieces = [piece for piece in pieces if len(piece.audio.samples)]
        first, *others = (fresh.tts.synthesise(piece.text) for piece in pieces)
        expected = [without_lead(first), *others]  # it begins at once
        assert 0.1 < first.audio.duration_s - expected[0].audio.duration_s < 0.4
        assert all(
            np.array_equal(p.audio.samples, e.audio.samples) for p, e in zip(pieces, expected, strict=True)
        )


def test_a_voice_that_fails_in_one_sentence_says_the_others(fresh, caplog):
    class Hoarse:
        name, rate_hz, capability = "hoarse", 24_000, Capability()

        def __init__(self, voice):
            self.voice = voice

        def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
            if "believe" in text:
                raise TTSError("hoarse could not say that")
            return self.voice.synthesise(text, knobs)

    fresh.tts = Hoarse(fresh.tts)
    with fresh.conversation() as talk:
        pieces = list(talk.pieces(REPLY, Targets.shifted(fresh.voice, f0_shift_st=1)))
        assert [bool(len(piece.audio.samples)) for piece in pieces] == [True, False, True]
        assert any("hoarse could not say that" in note for note in pieces[1].notes)


def test_each_talk_may_have_its_own_policy(fresh, reading):
    with fresh.conversation() as talk, fresh.conversation() as other:
        other.policy = Policy(strength=0)
        for each in (talk, other):
            each.hear(moved(reading[0], -3, 1.3), "it was the best of times")
        assert other.plan("That is good.").neutral
        fresh.strategy = Matching()
        assert not talk.plan("That is good.").neutral
