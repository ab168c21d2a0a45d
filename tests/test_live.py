"""A live talk with its real parts: hibari speaks, Silero and Smart Turn listen, Moonshine writes. The user is synthesised, and
talks faster than real time: sound is fed and pulled in step, as fast as the ears can follow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import glide, noise, tone
from numpy.typing import NDArray

from entrain import Audio, Entrainer
from entrain.bounded import SORRY
from entrain.responder import NoWords, Responder, ResponderError, Script
from entrain.tts import TTS
from entrain.turn import Turn

pytest.importorskip("silero_vad", reason="pip install 'entrain[live]'")
pytest.importorskip("pipecat", reason="pip install 'entrain[live]'")
from entrain.live import Ears, Event, Live

RATE_HZ = 16_000
FRAME = 320  # 20 ms
LEAD_S = 0.2  # that the microphone may be ahead of the ears
PATIENCE_S = 60.0  # of wall time, for anything that must happen
SHORT = "We open at nine."
LONG = (
    "We open at nine in the morning, and we close at six in the evening. On Saturdays we open an hour later. "
    "On Sundays we stay closed, but you can always leave a message."
)


@pytest.fixture(scope="module")
def agent() -> Iterator[Entrainer]:
    with Entrainer.load() as agent:
        yield agent


@pytest.fixture(scope="module")
def ears() -> Ears:
    return Ears.load()


@pytest.fixture(scope="module")
def said(hibari: TTS) -> Callable[[str], Audio]:
    """What a user says, at 16 kHz."""
    kept: dict[str, Audio] = {}

    def say(text: str) -> Audio:
        if text not in kept:
            kept[text] = hibari.synthesise(text).audio.resample(RATE_HZ)
        return kept[text]

    return say


class Told:
    """A responder that does what it is told; a callable is called for the words."""

    name = "told"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        self.asked.append(text)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


class Room:
    """A live talk, the user at its microphone, and all that was played and told."""

    def __init__(self, agent: Entrainer, responder: Responder, ears: Ears, **settings: Any) -> None:
        self.talk = agent.conversation()
        self.events: list[Event] = []
        settings = {"rate_hz": RATE_HZ, "on": self.events.append} | settings
        self.live = Live(self.talk, responder, ears=ears, **settings)
        self.rate_hz = self.live.rate_hz
        self.played: list[NDArray[np.float32]] = []  # (n,) at the agent's rate
        self.fed_s = 0.0

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        self.live.close()

    def hear(self, audio: Audio, sizes: Iterable[int] = (FRAME,)) -> None:
        """The user's sound, in frames of these sizes by turns, while the agent's is played."""
        samples, at = audio.resample(self.rate_hz).samples, 0
        for size in cycle(sizes):
            if at >= len(samples):
                return
            frame = samples[at : at + size]
            self.live.feed(frame)
            self.fed_s += len(frame) / self.rate_hz
            self.played.append(self.live.pull(round(len(frame) * self.live.out_rate_hz / self.rate_hz)))
            at += size
            wait_for(lambda: self.live.now_s > self.fed_s - LEAD_S)

    def quiet(self, seconds: float) -> None:
        self.hear(Audio(np.zeros(round(seconds * self.rate_hz), np.float32), self.rate_hz))

    def until(self, condition: Callable[[], Any]) -> None:
        """Let time pass, in which the user is silent, until it is so."""
        limit_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < limit_s, self.story
            self.quiet(0.02)
            time.sleep(0.002)  # ten times as fast as life

    def until_told(self, kind: str, n: int = 1) -> None:
        self.until(lambda: len(self.told(kind)) >= n)

    def until_it_listens(self) -> None:
        self.until(lambda: self.live.state == "listening" and self.n_ended == self.n_done)

    def until_played(self, seconds: float) -> None:
        self.until(lambda: self.sound_s() >= seconds)

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event.data for event in self.events if event.type == kind]

    def sound_s(self) -> float:
        """How much of what was played is not silence."""
        return sum(np.count_nonzero(part) for part in self.played) / self.live.out_rate_hz

    @property
    def n_ended(self) -> int:
        return len(self.told("end"))

    @property
    def n_done(self) -> int:
        """Turns that were remembered, or found to be noise."""
        return len(self.told("heard")) + len(self.told("noise"))

    @property
    def story(self) -> list[str]:
        """What was told, without what has no set time."""
        asides = ("partial", "timing", "looked")
        return [e.data.get("state", e.type) for e in self.events if e.type not in asides]

    @property
    def turns(self) -> list[tuple[str, str]]:
        return [(turn.speaker, turn.text) for turn in self.talk.turns]


def wait_for(condition: Callable[[], bool]) -> None:
    limit_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < limit_s, "it never happened"
        time.sleep(0.0005)


# --- the talk


def test_a_turn_is_heard_and_answered(agent: Entrainer, ears: Ears, said: Callable[[str], Audio]) -> None:
    user = said("When do you open tomorrow?")
    with Room(agent, Script([SHORT]), ears) as room:
        room.quiet(1.0)
        room.hear(user)
        room.until_told("said")
        room.until_it_listens()
    assert " ".join(room.story) == "start end thinking heard plan speaking saying said listening"
    (heard,), (spoken,) = room.told("heard"), room.told("said")
    assert "When do you open" in heard["turn"]["text"]
    assert heard["turn"]["start_s"] == pytest.approx(1.0, abs=0.4)
    assert heard["turn"]["end_s"] == pytest.approx(1.0 + user.duration_s, abs=0.4)
    assert heard["turn"]["features"]["f0_mean_st"] is not None
    assert not spoken["interrupted"]
    assert spoken["turn"]["text"] == SHORT
    assert spoken["turn"]["end_s"] - spoken["turn"]["start_s"] == pytest.approx(room.sound_s(), abs=0.05)
    assert room.turns == [("user", heard["turn"]["text"]), ("agent", SHORT)]
    assert not room.told("fault")
    assert set(room.told("timing")[0]) >= {"words", "reply", "plan", "voice", "sound"}


def test_the_clock_and_the_order_hold_over_turns(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio]
) -> None:
    questions = ["When do you open tomorrow?", "And when do you close?", "Where can I park my car?"]
    replies = ["At nine.", "At six in the evening.", "Behind the house."]
    with Room(agent, Script(replies), ears) as room:
        for n, question in enumerate(questions, 1):
            room.hear(said(question))
            room.until_told("said", n)
            room.until_it_listens()
    assert [who for who, _ in room.turns] == ["user", "agent"] * 3
    assert [words for who, words in room.turns if who == "agent"] == replies
    edges = [edge for turn in room.talk.turns for edge in (turn.start_s, turn.end_s)]
    assert edges == sorted(edges)
    assert len(room.told("heard")) == len(room.told("said")) == 3
    at_s = [event.at_s for event in room.events]
    assert at_s == sorted(at_s)
    assert not room.told("fault")


@pytest.mark.parametrize("rates", [(48_000, 48_000), (44_100, 16_000), (8_000, 24_000)], ids=str)
def test_any_rate_of_microphone_and_loudspeaker(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio], rates: tuple[int, int]
) -> None:
    rate_hz, out_rate_hz = rates
    with Room(agent, Script([SHORT]), ears, rate_hz=rate_hz, out_rate_hz=out_rate_hz) as room:
        room.quiet(0.5)
        room.hear(said("When do you open tomorrow?"), [rate_hz // 50])
        room.until_told("said")
    (turn,) = (turn for turn in room.talk.turns if turn.speaker == "agent")
    assert room.sound_s() == pytest.approx(turn.end_s - turn.start_s, abs=0.05)
    assert "open" in room.turns[0][1]


def test_what_is_understood_so_far_is_told_while_the_user_speaks(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio]
) -> None:
    with Room(agent, Script([SHORT]), ears) as room:
        room.hear(said("When do you open tomorrow, and where can I park my car?").part(0, 1.8))
        wait_for(lambda: bool(room.told("partial")))
        assert not room.told("end")
    assert "open" in room.told("partial")[0]["text"]


def turn_of(agent: Entrainer, ears: Ears, user: Audio, sizes: Iterable[int]) -> tuple[Any, ...]:
    with Room(agent, Script([SHORT]), ears, partials=False) as room:
        room.hear(Audio(np.pad(user.samples, (RATE_HZ // 2, 2 * RATE_HZ)), RATE_HZ), sizes)
        room.until_told("heard")
        (heard,) = room.told("heard")
        return tuple(heard["turn"][key] for key in ("start_s", "end_s", "text", "features"))


@pytest.mark.parametrize("sizes", [[7], [480], [16_000], [1, 7, 0, 480, 16_000, 3]], ids=str)
def test_frames_of_any_size_give_the_same_turn(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio], sizes: list[int]
) -> None:
    user = said("When do you open tomorrow?")
    assert turn_of(agent, ears, user, sizes) == turn_of(agent, ears, user, [FRAME])


# --- who has the floor


def test_barge_in_keeps_what_was_said(agent: Entrainer, ears: Ears, said: Callable[[str], Audio]) -> None:
    with Room(agent, Script([LONG, SHORT]), ears) as room:
        room.hear(said("When do you open tomorrow?"))
        room.until_played(3.0)
        n_before = len(room.told("start"))
        room.hear(said("Stop, please, I only need to know about tomorrow."))
        assert len(room.told("start")) == n_before + 1
        room.until_told("said", 2)
        room.until_it_listens()
    (cut,) = room.told("interrupted")
    assert [who for who, _ in room.turns] == ["user", "agent", "user", "agent"]
    assert room.turns[1][1] == cut["said"]
    assert LONG.startswith(cut["said"])
    assert 5 <= len(cut["said"].split()) < len(LONG.split()) - 5
    assert [spoken["interrupted"] for spoken in room.told("said")] == [True, False]
    assert "tomorrow" in room.turns[2][1]
    assert room.turns[3][1] == SHORT
    broken, again = (turn for turn in room.talk.turns if turn.speaker == "agent")
    assert broken.end_s - broken.start_s + again.end_s - again.start_s == pytest.approx(
        room.sound_s(), abs=0.05
    )


def test_the_agent_is_silent_as_soon_as_somebody_speaks(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio]
) -> None:
    with Room(agent, Script([LONG, SHORT]), ears) as room:
        room.hear(said("When do you open tomorrow?"))
        room.until_played(1.0)
        room.hear(said("Stop, please, I only need to know about tomorrow.").part(0, 1.2))
        assert not any(part.any() for part in room.played[-10:])
        assert len(room.told("end")) == 1


def test_a_yeah_beside_the_reply_does_not_stop_it(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio]
) -> None:
    with Room(agent, Script([LONG]), ears) as room:
        room.hear(said("When do you open tomorrow?"))
        room.until_played(2.0)
        room.hear(said("Yeah."))
        room.until_told("said")
        room.until_told("heard", 2)
    assert not room.told("interrupted")
    assert room.turns[1] == ("agent", LONG)
    assert room.turns[2][0] == "user"
    assert "yeah" in room.turns[2][1].lower()


def test_a_cough_beside_the_reply_does_not_stop_it(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio]
) -> None:
    """Heard by ears that take any sound for speech."""
    deaf = Ears.load("energy", smart=False)
    with Room(agent, Script([LONG]), deaf) as room:
        room.quiet(0.5)
        room.hear(said("When do you open tomorrow?"))
        room.until_played(2.0)
        room.hear(noise(0.4, amplitude=0.2))
        room.until_told("said")
    assert room.told("noise")
    assert not room.told("interrupted")
    assert room.turns[1:] == [("agent", LONG)]


def test_sneezes_beside_the_reply_do_not_stop_it(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio], data: Any
) -> None:
    """Of .03 to .2 s of voice; Moonshine makes "But" and "That's it." of the first two."""
    names = ("1-26143-A", "1-59324-A", "1-81883-A")
    sneezes = [Audio.read(data / "noise" / "esc10" / f"person_sneeze_{name}.flac") for name in names]
    with Room(agent, Script([LONG]), ears) as room:
        room.hear(said("When do you open tomorrow?"))
        room.until_played(1.0)
        for sneeze in sneezes:
            room.hear(sneeze.part(0, 1.2))
            room.quiet(1.5)
        room.until_told("said")
    assert room.told("start")
    assert not room.told("interrupted")
    assert room.turns[1] == ("agent", LONG)


def test_who_goes_on_before_the_answer_is_answered_anew(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio]
) -> None:
    thinking, answer = threading.Event(), threading.Event()

    def slow() -> str:
        thinking.set()
        answer.wait(PATIENCE_S)
        return "too late"

    responder = Told(slow, SHORT)
    with Room(agent, responder, ears, patience_s=PATIENCE_S) as room:
        room.hear(said("When do you open tomorrow?"))
        room.until(thinking.is_set)
        room.hear(said("I mean on Sunday."))
        room.until_told("said")
        answer.set()
    assert [who for who, _ in room.turns] == ["user", "user", "agent"]
    assert room.turns[2][1] == SHORT
    assert "Sunday" in responder.asked[1]


def test_the_host_can_stop_the_agent(agent: Entrainer, ears: Ears, said: Callable[[str], Audio]) -> None:
    with Room(agent, Script([LONG]), ears) as room:
        room.hear(said("When do you open tomorrow?"))
        room.until_played(1.0)
        room.live.interrupt()
        room.until_told("said")
        n = room.sound_s()
        room.quiet(1.0)
        assert room.sound_s() == n
    assert room.told("said")[0]["interrupted"]
    assert LONG.startswith(room.turns[1][1])


def test_a_greeting_and_another_that_waits_can_be_interrupted(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio]
) -> None:
    with Room(agent, Script([SHORT]), ears) as room:
        room.live.say(LONG)
        room.live.say("This can wait.")
        room.until_played(1.0)
        room.hear(said("Stop, please, I only need to know about tomorrow."))
        room.until_told("interrupted")
        room.until(lambda: ("agent", SHORT) in room.turns)
    assert LONG.startswith(room.turns[0][1])
    assert room.turns[0][0] == "agent"


def test_push_to_talk(agent: Entrainer, ears: Ears, said: Callable[[str], Audio]) -> None:
    with Room(agent, Script([SHORT]), ears, hands_free=False) as room:
        room.hear(said("Nobody pressed, so nobody hears this."))
        room.quiet(2.0)
        assert room.story == []
        room.live.end()  # let go without having pressed
        room.live.begin()
        room.live.begin()  # a key that repeats
        room.hear(said("When do you open? I ask"))
        room.quiet(2.0)  # a long pause ends nothing
        room.hear(said("because I have little time."))
        assert not room.told("end")
        room.live.end()
        room.until_told("said")
    assert [who for who, _ in room.turns] == ["user", "agent"]
    assert "open" in room.turns[0][1]
    assert "time" in room.turns[0][1]
    assert "Nobody" not in room.turns[0][1]


def test_pressing_stops_the_agent(agent: Entrainer, ears: Ears, said: Callable[[str], Audio]) -> None:
    with Room(agent, Script([LONG, SHORT]), ears, hands_free=False) as room:
        room.live.begin()
        room.hear(said("When do you open tomorrow?"))
        room.live.end()
        room.until_played(2.0)
        room.live.begin()
        room.hear(said("And when do you close?"))
        room.live.end()
        room.until_told("said", 2)
    assert [spoken["interrupted"] for spoken in room.told("said")] == [True, False]
    assert [who for who, _ in room.turns] == ["user", "agent", "user", "agent"]


# --- the wake word


def test_asleep_awake_and_asleep_again(agent: Entrainer, said: Callable[[str], Audio]) -> None:
    with Room(agent, Script([SHORT]), Ears.load(wake="hey jarvis", awake_s=4.0)) as room:
        assert room.live.state == "idle"
        room.hear(said("When do you open tomorrow?"))
        room.quiet(2.0)
        assert room.story == []
        room.hear(said("Hey Jarvis, when do you open tomorrow?"))
        room.until_told("said")
        room.until(lambda: room.live.state == "idle")
        room.hear(said("And when do you close?"))
        room.quiet(2.0)
    assert " ".join(room.story) == (
        "woken wake listening start end thinking heard plan speaking saying said listening idle"
    )
    assert room.told("wake")[0]["word"] == "hey jarvis"
    ((_, words), spoken) = room.turns
    assert words.startswith("When do you open")
    assert spoken == ("agent", SHORT)


def test_the_wake_word_alone_wakes_and_is_no_turn(agent: Entrainer, said: Callable[[str], Audio]) -> None:
    with Room(agent, Script([SHORT]), Ears.load(wake="hey jarvis")) as room:
        room.hear(said("Hey Jarvis."))
        room.until_told("noise")
        room.quiet(1.0)
        room.hear(said("When do you open tomorrow?"))
        room.until_told("said")
    assert [who for who, _ in room.turns] == ["user", "agent"]
    assert "open" in room.turns[0][1]


# --- what goes wrong


def test_an_hour_of_silence_says_nothing_and_keeps_nothing(agent: Entrainer) -> None:
    """With ears that need no network: ten times as fast, and the rest is the same."""
    second = Audio(np.zeros(RATE_HZ, np.float32), RATE_HZ)
    with Room(agent, Script([SHORT]), Ears.load("energy", smart=False)) as room:
        room.quiet(5.0)
        before = psutil.Process().memory_info().rss
        for _ in range(3_600):
            room.hear(second, [RATE_HZ])
            assert not room.played.pop().any()
        grown = psutil.Process().memory_info().rss - before
        assert room.story == []
        assert room.live.now_s > 3_600
        assert grown < 40e6  # the hour's sound is 230 MB
    assert room.turns == []


@pytest.mark.parametrize(
    "sound",
    [tone(440, 3.0, RATE_HZ, 0.3), glide(200, 900, 3.0, RATE_HZ, 0.3), noise(3.0, RATE_HZ, 0.3), tone(440, 3.0, RATE_HZ, 3.0)],
    ids=["tone", "glide", "noise", "clipped"],
)  # fmt: skip
def test_music_and_noise_break_nothing(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio], sound: Audio
) -> None:
    with Room(agent, Script([SHORT] * 5), ears) as room:
        room.hear(sound)
        room.quiet(2.0)
        room.until_it_listens()
        n = len(room.told("said"))
        room.hear(said("When do you open tomorrow?"))
        room.until_told("said", n + 1)
    assert not room.told("fault")
    assert any("open" in words for who, words in room.turns if who == "user")


def test_two_voices_at_once_are_a_turn(agent: Entrainer, ears: Ears, said: Callable[[str], Audio]) -> None:
    one, two = said("When do you open tomorrow?").samples, said("Where can I park my car?").samples
    both = np.zeros(max(len(one), len(two)), np.float32)
    both[: len(one)] += one
    both[: len(two)] += two
    with Room(agent, Script([SHORT]), ears) as room:
        room.hear(Audio(both, RATE_HZ))
        room.until_told("said")
    assert [who for who, _ in room.turns] == ["user", "agent"]
    assert not room.told("fault")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (ResponderError("the engine is down"), "the engine is down"),
        (ValueError("a bug of the host's"), "a bug of the host's"),
        (lambda: time.sleep(1.5), "gave no answer in 0.3 s"),
    ],
    ids=["dead", "broken", "slow"],
)
def test_without_an_answer_the_agent_says_so_and_the_talk_goes_on(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio], answer: Any, fault: str
) -> None:
    with Room(agent, Told(answer, SHORT), ears, patience_s=0.3) as room:
        room.hear(said("When do you open tomorrow?"))
        room.until_told("said")
        room.until_it_listens()
        room.hear(said("When do you open tomorrow?"))
        room.until_told("said", 2)
    assert [words for who, words in room.turns if who == "agent"] == ["Sorry, I did not get that.", SHORT]
    assert [told["step"] for told in room.told("fault")] == ["responder"]
    assert fault in room.told("fault")[0]["message"]


@pytest.mark.parametrize("answer", [NoWords("an image"), "https://x.y/cat.png", "...", ""], ids=str)
def test_nothing_to_say_is_not_said(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio], answer: Any
) -> None:
    with Room(agent, Told(answer, SHORT), ears) as room:
        room.hear(said("When do you open tomorrow?"))
        room.until_told("heard")
        room.until_it_listens()
        room.hear(said("And when do you close?"))
        room.until_told("said")
    assert [who for who, _ in room.turns] == ["user", "user", "agent"]
    assert not room.told("fault")


def test_of_a_reply_of_5000_characters_a_minute_is_said(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio]
) -> None:
    with Room(agent, Told("We open at nine, and we close at six. " * 150), ears) as room:
        room.hear(said("When do you open tomorrow?"))
        room.until_told("plan")
    (plan,) = room.told("plan")
    assert 450 <= len(plan["text"]) <= 900
    assert plan["text"].endswith("close at six.")
    assert "5700 characters" in room.told("fault")[0]["message"]


def test_frames_that_are_no_sound(agent: Entrainer, ears: Ears, said: Callable[[str], Audio]) -> None:
    with Room(agent, Script([SHORT]), ears) as room:
        for _ in range(5):
            room.live.feed(np.full(FRAME, np.nan, np.float32))
            room.live.feed(np.full(FRAME, np.inf, np.float32))
            room.live.feed(np.zeros((FRAME, 1), np.float32))
            room.live.feed(np.zeros(0, np.float32))
            room.live.feed(np.zeros(FRAME, np.int16))  # type: ignore[arg-type]
        room.quiet(0.5)
        room.hear(said("When do you open tomorrow?"))
        room.until_told("said")
    assert [told["step"] for told in room.told("fault")] == ["microphone"]
    assert room.turns[1] == ("agent", SHORT)


def test_ears_that_fail_are_told_of_once(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recogniser that fails has understood nothing: that is said, and the talk goes on."""

    def fails(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(agent.recogniser, "transcribe", fails)
    with Room(agent, Script([SHORT, SHORT]), ears) as room:
        for n in (1, 2):
            room.hear(said("When do you open tomorrow?"))
            room.until_told("said", n)
            room.until_it_listens()
    assert room.turns == [("user", ""), ("agent", SORRY)] * 2
    assert [told["step"] for told in room.told("fault")] == ["recognition"]


def test_a_watcher_that_fails_stops_nothing(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio]
) -> None:
    kinds: list[str] = []

    def watch(event: Event) -> None:
        kinds.append(event.type)
        raise RuntimeError("a bug of the host's")

    with Room(agent, Script([SHORT]), ears, on=watch) as room:
        room.hear(said("When do you open tomorrow?"))
        room.until(lambda: "said" in kinds)
    assert room.turns[1] == ("agent", SHORT)


# --- the end


def closed(room: Room) -> None:
    room.live.close()
    room.live.close()  # again is nothing
    assert not {"ear", "mind"} & {thread.name for thread in threading.enumerate()}
    assert not room.live.pull(100).any()
    room.live.feed(np.zeros(FRAME, np.float32))  # a sound card may be late


def test_closed_before_anything_happened(agent: Entrainer, ears: Ears) -> None:
    room = Room(agent, Script([SHORT]), ears)
    closed(room)
    assert room.turns == []


def test_closed_while_the_user_speaks(agent: Entrainer, ears: Ears, said: Callable[[str], Audio]) -> None:
    room = Room(agent, Script([SHORT]), ears)
    room.hear(said("When do you open tomorrow, and when do you close?").part(0, 1.5))
    closed(room)
    ((who, words),) = room.turns
    assert who == "user"
    assert "open" in words


def test_closed_while_the_responder_thinks(
    agent: Entrainer, ears: Ears, said: Callable[[str], Audio]
) -> None:
    thinking, over = threading.Event(), threading.Event()

    def endless() -> str:
        thinking.set()
        over.wait(PATIENCE_S)
        return "late"

    room = Room(agent, Told(endless), ears, patience_s=PATIENCE_S)
    room.hear(said("When do you open tomorrow?"))
    room.until(thinking.is_set)
    started_s = time.monotonic()
    closed(room)
    assert time.monotonic() - started_s < PATIENCE_S / 2
    over.set()
    ((who, words),) = room.turns
    assert who == "user"
    assert "open" in words


def test_closed_while_the_agent_speaks(agent: Entrainer, ears: Ears, said: Callable[[str], Audio]) -> None:
    room = Room(agent, Script([LONG]), ears)
    room.hear(said("When do you open tomorrow?"))
    room.until_played(3.0)
    closed(room)
    assert [who for who, _ in room.turns] == ["user", "agent"]
    spoken = room.talk.turns[1]
    assert LONG.startswith(spoken.text)
    assert 5 <= len(spoken.text.split()) < len(LONG.split())
    assert spoken.end_s - spoken.start_s == pytest.approx(room.sound_s(), abs=0.05)


def test_closed_while_both_speak(agent: Entrainer, ears: Ears, said: Callable[[str], Audio]) -> None:
    room = Room(agent, Script([LONG]), ears)
    room.hear(said("When do you open tomorrow?"))
    room.until_played(3.0)
    room.hear(said("Stop, please, I only need to know about tomorrow.").part(0, 1.5))
    closed(room)
    assert [who for who, _ in room.turns] == ["user", "agent", "user"]
    assert LONG.startswith(room.turns[1][1])
