"""Does a new plug-in, or a new voice, keep to what entrain expects? Suites for pytest, to be subclassed.

from entrain.testing import PlugIn, Voice

class TestMyVoice(Voice):
    def tts(self): return MyVoice()

class TestMyPlugIn(PlugIn):
    def host(self, agent, conversation_id): return MyHost(agent, conversation_id)
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from entrain.audio import Audio
from entrain.conversation import Entrainer
from entrain.history import History
from entrain.store import Store
from entrain.strategy import Prediction, Strategy, Weighted
from entrain.tts import TTS, Knobs, Rendition, Span, TTSError
from entrain.turn import Features, Turn

LOW_ST, LONG_S = -3.0, 2.0
SAID = ("We open at nine.", "Yes, from ten to four, and on Sundays too.", "You are welcome.")
USER = (
    "Good morning, when do you open today?",
    "And are you open on Sunday as well?",
    "Thank you very much indeed.",
)


# --- a dialogue system with entrain plugged in -------------------------------------------------------------------------


class Host(Protocol):
    """A dialogue system with the plug-in in it, as the suite drives it: one conversation. Each call returns when the host is ready for
    the next, and none may raise."""

    def user(self, audio: Audio, text: str | None) -> None:
        """The user speaks this, as the host's own events tell it. `text`: what its recogniser makes of it."""
        ...

    def agent(self, text: str, stop_s: float | None = None) -> None:
        """The host replies with this; after `stop_s` of its sound the user interrupts."""
        ...

    def turns(self) -> list[Turn]:
        """What entrain remembers by now."""
        ...

    def close(self) -> None: ...


class PlugIn:
    """Three calls in any order, silence, an interruption, a failure, a restart. Subclass it, and say how your host is made."""

    def host(self, agent: Entrainer, conversation_id: str) -> Host:
        raise NotImplementedError("give the dialogue system with your plug-in in it: a `Host`.")

    hears_itself = True
    """Does the plug-in hear what the agent says? Where it does not, replies have no features."""

    @contextmanager
    def talking(self, strategy: Strategy | None = None, store: Path | None = None) -> Generator[Host]:
        """A host on an agent of its own, with the voice of the package and no recogniser."""
        usual = _agent()
        kept = Store(store) if store else None
        agent = Entrainer(usual.tts, usual.voice, strategy or usual.strategy, store=kept, worker=usual.worker)
        with closing(self.host(agent, "conformance")) as host:
            yield host
        if kept:
            kept.close()

    def test_turns_are_remembered_in_their_order(self):
        with self.talking() as host:
            for said, reply in zip(USER, SAID, strict=True):
                host.user(spoken(said), said)
                host.agent(reply)
            turns = host.turns()
        assert [turn.speaker for turn in turns] == ["user", "agent"] * 3
        assert [turn.text for turn in turns] == [
            text for both in zip(USER, SAID, strict=True) for text in both
        ]
        heard = [turn for turn in turns if turn.speaker == "user" or self.hears_itself]
        assert all(turn.features.f0_mean_st is not None for turn in heard), "each has a pitch"
        for who in ("user", "agent"):  # who interrupts may begin with sound from before the other's turn
            starts_s = [turn.start_s for turn in turns if turn.speaker == who]
            assert starts_s == sorted(starts_s)
        assert not [turn.fault for turn in turns if turn.fault]

    def test_replies_follow_the_user(self):
        """Towards a low and a high user: the aims differ, and so does what came out."""
        aims: list[float] = []
        out: list[float] = []
        for shift_st in (LOW_ST, -LOW_ST):
            with self.talking() as host:
                for said, reply in zip(USER, SAID, strict=True):
                    host.user(spoken(said, Knobs(pitch_st=shift_st)), said)
                    host.agent(reply)
                replies = [turn for turn in host.turns() if turn.speaker == "agent"]
            aims.append(sum((turn.plan or {}).get("f0_shift_st") or 0.0 for turn in replies))
            out.append(sum(turn.features.f0_mean_st or 0.0 for turn in replies))
        assert aims[0] < aims[1]
        assert out[0] < out[1] or not self.hears_itself

    def test_the_agent_may_begin_and_the_user_may_go_on(self):
        with self.talking() as host:
            host.agent(SAID[0])
            host.user(spoken(USER[0]), USER[0])
            host.user(spoken(USER[1]), USER[1])
            host.agent(SAID[1])
            host.agent(SAID[2])
            assert [turn.speaker for turn in host.turns()] == ["agent", "user", "user", "agent", "agent"]

    def test_silence_is_a_turn_without_features(self):
        with self.talking() as host:
            host.user(Audio(np.zeros(16_000, np.float32), 16_000), "Hello?")
            host.agent(SAID[0])
            user, agent = host.turns()
        assert user.features.f0_mean_st is None
        assert "f0_mean_st" in user.features.missing
        assert (user.text, agent.text) == ("Hello?", SAID[0])

    def test_an_interrupted_reply_is_remembered_as_far_as_it_was_heard(self):
        text = " ".join(SAID)
        with self.talking() as host:
            host.agent(text)
            host.user(spoken(USER[0]), USER[0])
            host.agent(text, stop_s=LONG_S)
            host.user(spoken(USER[2]), USER[2])
            host.agent(SAID[0])
            whole, _, cut, _, last = host.turns()
        assert len(cut.text) < len(whole.text)
        assert whole.text.startswith(cut.text)
        assert last.text == SAID[0]
        if self.hears_itself:
            assert cut.end_s - cut.start_s < 0.75 * (whole.end_s - whole.start_s)

    def test_what_fails_is_neutral_and_the_talk_goes_on(self):
        with self.talking(strategy=Failing()) as host:
            for said, reply in zip(USER, SAID, strict=True):
                host.user(spoken(said), said)
                host.agent(reply)
            turns = host.turns()
        assert [turn.text for turn in turns if turn.speaker == "agent"] == list(SAID)
        assert not any((turn.plan or {}).get("weight_f0") for turn in turns)

    def test_a_conversation_goes_on_after_a_restart(self, tmp_path: Path):
        turns: list[str] = []
        for said, reply in zip(USER[:2], SAID[:2], strict=True):
            with self.talking(store=tmp_path / "talks.sqlite") as host:
                host.user(spoken(said), said)
                host.agent(reply)
                turns = [turn.text for turn in host.turns()]
        assert turns == [USER[0], SAID[0], USER[1], SAID[1]]


@lru_cache(maxsize=1)
def _agent() -> Entrainer:
    """Loaded once: its process takes a second to start, and ends with this one."""
    return Entrainer.load(strategy="weighted", recogniser=None)


class Failing(Weighted):
    """A strategy that always fails."""

    name = "failing"

    def predict(self, history: History, text: str) -> Prediction:
        raise RuntimeError("this strategy fails, as it was asked to")


def spoken(text: str, knobs: Knobs = Knobs()) -> Audio:
    """A user, by a voice that everybody has: hibari, moved as far as its knobs go."""
    voice = _agent().tts
    return voice.synthesise(text, voice.capability.clamp(knobs)).audio.resample(16_000)


# --- a voice ---------------------------------------------------------------------------------------------------------------


class Voice:
    """What `entrain.tts.TTS` promises. Subclass it, and say how your voice is made."""

    def tts(self) -> TTS:
        raise NotImplementedError("give your voice: a `TTS`.")

    def test_it_has_the_four_members(self):
        tts = self.tts()
        assert isinstance(tts, TTS), "name, rate_hz, capability, synthesise"
        assert tts.name.strip()
        assert 4_000 <= tts.rate_hz <= 192_000

    def test_it_speaks(self):
        tts = self.tts()
        rendition = tts.synthesise(SAID[0])
        assert isinstance(rendition, Rendition)
        assert rendition.audio.rate_hz == tts.rate_hz
        assert rendition.text == SAID[0]
        assert 0.3 < rendition.audio.duration_s < 10
        assert (rendition.audio.level_db or -100) > -60

    def test_nothing_to_say_is_no_sound(self):
        for text in ("", "   ", "…", "🙂"):
            assert not len(self.tts().synthesise(text).audio.samples), repr(text)

    def test_the_same_text_gives_the_same_samples(self):
        tts = self.tts()
        np.testing.assert_array_equal(
            tts.synthesise(SAID[0]).audio.samples, tts.synthesise(SAID[0]).audio.samples
        )

    def test_neutral_knobs_change_nothing(self):
        tts = self.tts()
        np.testing.assert_array_equal(
            tts.synthesise(SAID[0], Knobs()).audio.samples, tts.synthesise(SAID[0]).audio.samples
        )

    def test_what_is_applied_is_within_its_spans(self):
        tts = self.tts()
        asked = Knobs(pitch_st=20, range_x=5, rate_x=5, level_db=40)
        applied = tts.synthesise(SAID[0], asked).applied
        assert tts.capability.clamp(applied) == applied
        for name in ("pitch_st", "range_x", "rate_x", "level_db"):
            if getattr(tts.capability, name) is None:
                assert getattr(applied, name) == getattr(Knobs(), name), (
                    f"it has no {name}, and says that it applied it"
                )

    def test_its_knobs_move_what_they_say(self):
        """By the user's own meter: up is up, and down is down."""
        tts = self.tts()
        features = {
            "pitch_st": "f0_mean_st",
            "range_x": "f0_range_st",
            "rate_x": "rate_syll_s",
            "level_db": "level_db",
        }
        for knob, feature in features.items():
            span: Span | None = getattr(tts.capability, knob)
            if span is not None:
                low, high = (measured(tts, Knobs(**{knob: value})) for value in (span.low, span.high))
                assert getattr(low, feature) < getattr(high, feature), (
                    f"{knob} from {span.low} to {span.high}"
                )

    def test_odd_text_is_spoken_or_refused(self):
        for text in ("a" * 2_000, "<b>&amp;", "\x00\ud800 hello", "Straße, 東京, 12:30 £5"):
            with suppress(TTSError):  # anything else is for the host, which cannot know it
                assert np.isfinite(self.tts().synthesise(text).audio.samples).all()


def measured(tts: TTS, knobs: Knobs) -> Features:
    from entrain.prosody import extract

    return extract(tts.synthesise(SAID[1], knobs).audio, SAID[1])
