"""`entrain talk` as a person meets it: a scripted user speaks recorded turns into PulseAudio's microphone, and what the agent plays is
recorded and measured."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sound_card
from conftest import joined, silence
from rich.console import Console
from sound_card import SoundCard, wait_for
from typer.testing import CliRunner

from entrain.audio import Audio
from entrain.cli import app
from entrain.conditioning import Ask, measure, psola
from entrain.converse import read_conversation, user_turns
from entrain.live import Event
from entrain.prosody import extract
from entrain.talk_view import PlainView, RichView, bar, told
from entrain.tts import Rendition
from entrain.turn import Features, Turn

REPLIES = (
    "That is a strong way to begin. Please go on.",
    "And what did people believe in those days?",
    "Thank you. I would love to hear the rest of it tomorrow.",
)
LONG = (
    "Let me tell you the whole story, from the very beginning to the end, with all that happened in between. "
    * 3
)


@pytest.fixture(scope="session")
def card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundCard]:
    if why := sound_card.missing():
        pytest.skip(why)
    pytest.importorskip("sounddevice", reason="pip install 'entrain[live]'")
    place = SoundCard(tmp_path_factory.mktemp("sound"))
    yield place
    place.stop()


@pytest.fixture(scope="session")
def user() -> list[Audio]:
    """Three turns of a real reading."""
    return user_turns([Path(str(files("moonshine_voice").joinpath("assets/two_cities.wav")))], 0.45)[:3]


class Talking:
    """An `entrain talk` that runs, and what it tells."""

    def __init__(
        self, card: SoundCard, folder: Path, *options: str, replies: tuple[str, ...] = REPLIES
    ) -> None:
        (folder / "replies.txt").write_text("\n".join(replies))
        self.out = folder / "out"
        self.events: list[dict[str, Any]] = []
        settings = [
            "--responder",
            f"script:{folder / 'replies.txt'}",
            "--asr",
            "none",
            "-o",
            str(self.out),
            "--json",
            "--quiet",
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "entrain", "talk", *settings, *options], env=card.env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(folder / "stderr").open("w"),
        )  # fmt: skip
        self.stderr = folder / "stderr"
        threading.Thread(target=self._listen, daemon=True).start()
        self.wait("ready", seconds=90)

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in list(self.events) if event["type"] == kind]

    def wait(self, kind: str, n: int = 1, seconds: float = 30.0) -> dict[str, Any]:
        """Until the n-th of that kind has come."""

        def come() -> list[dict[str, Any]]:
            if self.process.poll() is not None:
                raise AssertionError(f"entrain talk has ended: {self.stderr.read_text()}")
            return self.told(kind)[n - 1 :]

        return wait_for(f"{kind} {n} after {[e['type'] for e in self.events[-8:]]}", come, seconds)[0]

    def end(self) -> list[Turn]:
        """Ctrl-C; the turns in the record."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0, self.stderr.read_text()
        assert (self.out / "report.html").read_text().count("<svg") >= 1
        return read_conversation(str(self.out / "conversation.jsonl"))


@pytest.fixture
def talking(card: SoundCard, tmp_path: Path) -> Iterator[Callable[..., Talking]]:
    started: list[Talking] = []

    def start(*options: str, **more: Any) -> Talking:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Talking(card, folder, *options, **more))
        return started[-1]

    yield start
    for talk in started:
        talk.process.kill()
        talk.process.wait()


def spoken_by(audio: Audio, ask: Ask) -> Audio:
    """The same turn by another kind of speaker."""
    return psola(audio, ask, measure(Rendition(audio, ""))[1])


def converse(card: SoundCard, talk: Talking, turns: list[Audio]) -> Features:
    """Say the turns, each after the last answer; how the agent sounded, by what its loudspeaker played."""
    with card.recording() as recorded:
        for n, turn in enumerate(turns, 1):
            card.say(turn)
            talk.wait("said", n)
        return extract(recorded(), " ".join(REPLIES[: len(turns)]))


def test_the_agent_entrains_to_who_speaks(
    card: SoundCard, talking: Callable[..., Talking], user: list[Audio]
):
    """Measured at the loudspeaker: after a slow, low user it is lower and slower than after a fast, high one."""
    heard: dict[str, Features] = {}
    for name, ask in {"low": Ask(f0_st=-3, duration_x=1.3), "high": Ask(f0_st=3, duration_x=0.77)}.items():
        talk = talking("--strategy", "matching", "--register", "low", "--asr", "moonshine")
        heard[name] = converse(card, talk, [spoken_by(turn, ask) for turn in user[::2]])
        turns = talk.end()
        assert [turn.speaker for turn in turns] == ["user", "agent"] * 2
        assert [turn.text for turn in turns[1::2]] == list(REPLIES[:2])
        assert not [turn.fault for turn in turns if turn.fault]
    low, high = heard["low"], heard["high"]
    assert high.f0_mean_st - low.f0_mean_st > 0.5
    assert high.rate_syll_s / low.rate_syll_s > 1.05


def test_who_breaks_in_is_listened_to(card: SoundCard, talking: Callable[..., Talking], user: list[Audio]):
    talk = talking("--strategy", "neutral", replies=(LONG, REPLIES[1]))
    with card.recording() as recorded:
        card.say(user[0])
        talk.wait("saying", 2)
        card.say(user[0])
        talk.wait("interrupted")
        talk.wait("said", 2)
        played = recorded()
    turns = talk.end()
    cut = turns[1]
    assert talk.told("said")[0]["interrupted"]
    assert LONG.startswith(cut.text.rstrip(". ")[:40])
    assert len(cut.text) < len(LONG) * 0.8
    speakers = [turn.speaker for turn in turns]  # the user's second turn may be taken for two
    assert speakers[:3] == ["user", "agent", "user"]
    assert speakers[-1] == "agent"
    assert played.duration_s < 60  # and the rest of the story was never played


def test_its_own_voice_is_not_answered(card: SoundCard, talking: Callable[..., Talking], user: list[Audio]):
    """The loudspeaker stands beside the microphone."""
    with card.echo():
        talk = talking("--strategy", "neutral")
        card.say(user[0])
        talk.wait("said")
        card.say(user[1])
        talk.wait("said", 2)
        turns = talk.end()
    assert [turn.speaker for turn in turns] == ["user", "agent", "user", "agent"]
    assert turns[1].text == REPLIES[0]
    assert (
        len(talk.told("start")) == 2
    )  # neither gate nor canceller alone let it begin more (measured); without both, ten a reply


def test_it_sleeps_until_its_word_is_said(
    card: SoundCard, talking: Callable[..., Talking], user: list[Audio], data: Path
):
    from entrain.wake import own_words

    if "computer" not in own_words():
        pytest.skip("the head of the wake word has not been trained: python -m entrain_training.wakeword")
    talk = talking("--wake", "computer", "--strategy", "neutral")
    card.say(user[0])
    card.say(silence(1.0))
    assert not talk.told("heard")
    clips = sorted((data / "wake" / "picovoice" / "computer").glob("*.*"))[:3]
    for clip in clips:  # a detector may miss one
        card.say(joined(Audio.read(clip).resample(sound_card.RATE_HZ), silence(0.5, sound_card.RATE_HZ)))
        if talk.told("wake"):
            break
    assert talk.wait("wake")["word"] == "computer"
    n_answered = len(talk.told("said"))
    card.say(user[1])
    talk.wait("said", n_answered + 1)
    assert len(talk.end()) >= 2


def test_an_unplugged_sound_card_is_waited_for(
    card: SoundCard, talking: Callable[..., Talking], user: list[Audio]
):
    """Microphone alone: PulseAudio hides that. Then all of it."""
    talk = talking("--strategy", "neutral", replies=(*REPLIES, "One more."))
    card.unplug("user")
    card.plug("user")
    card.say(user[0])
    talk.wait("said")
    card.stop()
    assert "gone" in talk.wait("device")["message"]
    card.start()
    assert "back" in talk.wait("device", 2)["message"]
    card.say(user[0])
    talk.wait("said", 2)
    assert [turn.speaker for turn in talk.end()][:4] == ["user", "agent", "user", "agent"]


def test_a_silent_microphone_is_told_once(talking: Callable[..., Talking]):
    talk = talking("--muted-s", "1", "--seconds", "4", "--greeting", "Hello there.")
    assert "muted" in talk.wait("device")["message"]
    assert talk.process.wait(30) == 0
    assert len(talk.told("device")) == 1
    assert [event["turn"]["text"] for event in talk.told("said")] == ["Hello there."]


def test_push_to_talk(card: SoundCard, talking: Callable[..., Talking], user: list[Audio]):
    talk = talking("--push-to-talk", "--strategy", "neutral")
    assert talk.process.stdin
    card.say(user[0])  # nobody has pressed
    talk.process.stdin.write(" ")
    talk.process.stdin.flush()
    talk.wait("start")
    card.say(user[1])
    assert len(talk.told("start")) == 1
    talk.process.stdin.write(" ")
    talk.process.stdin.flush()
    talk.wait("said")
    assert [turn.speaker for turn in talk.end()] == ["user", "agent"]


def test_a_person_may_answer_and_need_not(
    card: SoundCard, talking: Callable[..., Talking], user: list[Audio]
):
    """Ctrl-C comes while they are asked."""
    talk = talking("--responder", "person", "--strategy", "neutral")
    assert talk.process.stdin
    card.say(user[0])
    talk.wait("heard")
    talk.process.stdin.write("Well said.\n")
    talk.process.stdin.flush()
    talk.wait("said")
    card.say(user[0])
    talk.wait("heard", 2)
    assert [turn.text for turn in talk.end()][:2] == ["", "Well said."]


def run(card: SoundCard, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "entrain", "talk", *options],
        env=card.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_devices_are_listed_and_named(card: SoundCard):
    found = json.loads(run(card, "--devices", "--json").stdout)
    assert {"pulse", "default"} <= {device["name"] for device in found}
    wrong = run(card, "--input", "gramophone")
    assert wrong.returncode == 2
    assert "gramophone" in wrong.stderr
    assert "pulse" in wrong.stderr


def test_without_a_device_it_says_what_to_do(card: SoundCard, tmp_path: Path):
    """PulseAudio is not where it was."""
    (tmp_path / ".asoundrc").write_text(sound_card.ASOUNDRC)
    nowhere = {name: str(tmp_path) for name in ("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH")}
    result = subprocess.run(
        [sys.executable, "-m", "entrain", "talk", "-o", str(tmp_path)], env=card.env | nowhere, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "entrain talk --devices" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--wake", "computer", "--no-wake"], "exclude each other"),
        (["--push-to-talk", "--responder", "person"], "keyboard"),
        (["--register", "alto"], "any, low, high"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], said: str):
    result = CliRunner().invoke(app, ["talk", *options])
    assert result.exit_code == 2
    assert said in result.stderr


# --- the view ---------------------------------------------------------------------------------------------------------

HEARD = Turn(
    speaker="user", start_s=0, end_s=2, text="Good morning.", features=Features(f0_mean_st=3.25, rate_syll_s=4.5),
    z=(0.5, None, None, -1.25, None, None, None),
)  # fmt: skip
SAID = Turn(
    speaker="agent", start_s=3, end_s=5, text="Hello.", features=Features(f0_mean_st=11.0, rate_syll_s=5.0),
    plan={"f0_shift_st": -1.5, "f0_mean_st": 11.25, "weight_f0": 1.0}, realised={"f0_mean_st": 11.0},
)  # fmt: skip


def event_of(turn: Turn) -> Event:
    return Event(
        type="heard" if turn.speaker == "user" else "said",
        at_s=1.0,
        data={"turn": turn.model_dump(mode="json")},
    )


def test_a_turn_is_a_line_and_machines_events_are_none():
    line = told(event_of(HEARD))
    assert "Good morning." in line
    assert "3.25" in line
    assert told(Event(type="timing", at_s=0)) == ""


def test_quiet_tells_only_what_goes_wrong():
    console = Console(record=True, width=200)
    view = PlainView(console, quiet=True)
    view.on(event_of(HEARD))
    view.on(Event(type="device", at_s=0, data={"message": "the sound device is gone [really]"}))
    text = console.export_text()
    assert "[really]" in text
    assert "Good morning." not in text


def test_the_picture_shows_both_speakers_and_the_plan():
    console = Console(record=True, width=200)
    view = RichView(console)
    for turn in (HEARD, SAID):
        view.on(event_of(turn))
    view.on(Event(type="partial", at_s=6, data={"text": "and then"}))
    console.print(view.picture())
    text = console.export_text()
    for part in ("Good morning.", "3.25 (+0.50)", "4.50 (−1.25)", "11.25", "−1.50", "and then"):
        assert part.replace("+0.50", "+0.5").replace("−1.25)", "−1.2)") in text, text


def test_a_bar_is_full_at_full_scale_and_empty_below_seventy():
    assert set(bar(0.0)) == {"█"}
    assert set(bar(-70.0)) == set(bar(-120.0)) == {"·"}
    assert np.diff([bar(level_db).count("█") for level_db in range(-70, 1)]).min() >= 0
