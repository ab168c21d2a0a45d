"""Wake words: heard once each time they are said, however the sound is cut; silence, noise and other words are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import joined, noise, silence
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from entrain.audio import Audio
from entrain.embedding import FRAME, LOOK_BACK, SpeechEmbedding
from entrain.tts import TTS
from entrain.wake import WakeWord, Woken, load_wake
from entrain.wake_net import Head, HeadConfig, WakeError

pytest.importorskip("onnxruntime", reason="pip install 'entrain[ears]'")
pytest.importorskip("pyopen_wakeword", reason="pip install 'entrain[ears]'")


@pytest.fixture(scope="module")
def computer() -> WakeWord:
    return load_wake("computer")


@pytest.fixture(scope="module")
def jarvis() -> WakeWord:
    return load_wake("hey jarvis")


@pytest.fixture(scope="module")
def said_twice(data: Path) -> Audio:
    """Somebody says "hey computer", and another two seconds later; training has heard neither."""
    clips = sorted((data / "wake" / "precise" / "heycomputer_en").glob("*.flac"))
    return joined(silence(1), Audio.read(clips[0]), silence(2), Audio.read(clips[1]), silence(1))


def heard(wake: WakeWord, audio: Audio, n: int | None = None) -> list[Woken]:
    stream, samples = wake.stream(), audio.samples
    return [
        w
        for i in range(0, len(samples), n or len(samples))
        for w in stream.feed(samples[i : i + (n or len(samples))])
    ]


def test_the_word_is_heard_once_each_time(computer: WakeWord, said_twice: Audio) -> None:
    first, second = heard(computer, said_twice)
    assert 1 < first.at_s < 3.3
    assert 5 < second.at_s < 7.3
    assert first.word == "computer"
    assert 0.5 <= first.score <= 1


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 20_000), max_size=20))
def test_streaming_equals_whole_for_any_cutting(
    cuts: list[int], computer: WakeWord, said_twice: Audio
) -> None:
    stream, woken, at = computer.stream(), [], 0
    for n in [*cuts, len(said_twice.samples)]:
        woken += stream.feed(said_twice.samples[at : at + n])
        at += n
    assert woken == heard(computer, said_twice)


def test_streams_share_nothing(computer: WakeWord, said_twice: Audio) -> None:
    one, other, woken = computer.stream(), computer.stream(), []
    for i in range(0, len(said_twice.samples), 5_000):
        woken += one.feed(said_twice.samples[i : i + 5_000])
        other.feed(noise(0.3).samples)
    assert woken == heard(computer, said_twice)


def test_most_people_are_heard_and_other_words_are_not(data: Path, computer: WakeWord) -> None:
    """Precise's recordings of "hey computer" and "amelia", of which training has heard none."""
    folder = data / "wake" / "precise"
    words = [Audio.read(file) for file in sorted((folder / "heycomputer_en").glob("*.flac"))]
    others = [Audio.read(file) for file in sorted((folder / "amelia_en").glob("*.flac"))[::10]]
    assert np.mean([bool(heard(computer, joined(word, silence(0.3)))) for word in words]) >= 0.8
    assert sum(len(heard(computer, joined(other, silence(0.3)))) for other in others) <= 1


@pytest.mark.parametrize("name", ["computer", "hey jarvis"])
def test_silence_noise_and_nothing_wake_nobody(name: str) -> None:
    wake = load_wake(name)
    assert heard(wake, joined(silence(2), noise(5), silence(2))) == []
    assert wake.stream().feed(np.zeros(0, np.float32)) == []
    assert wake.stream().feed(np.full(32_000, np.nan, np.float32)) == []


def test_a_ready_word_is_heard_when_it_is_said_by_a_voice(jarvis: WakeWord, hibari: TTS) -> None:
    speech = hibari.synthesise("Hey Jarvis, what time is it?").audio.resample(16_000)
    audio = joined(silence(1), speech, silence(1))
    [woken] = heard(jarvis, audio)
    assert woken.word == "hey jarvis"
    assert 1.3 < woken.at_s < 2.6
    assert heard(jarvis, audio, 777) == [woken]


def test_a_word_at_the_very_start_is_heard(computer: WakeWord, said_twice: Audio) -> None:
    assert len(heard(computer, Audio(said_twice.samples[16_000:], 16_000))) == 2


def test_the_refractory_time_keeps_one_word_from_triggering_twice(
    computer: WakeWord, said_twice: Audio
) -> None:
    restless = WakeWord("computer", computer.scorer, computer.threshold, computer.smooth, refractory_s=0.0)
    assert len(heard(restless, said_twice)) > len(heard(computer, said_twice)) == 2


def test_embeddings_are_those_of_open_wake_word(said_twice: Audio) -> None:
    """Against pyopen-wakeword's TensorFlow Lite, whose windows begin with the stream's 8 s of silence; ours end with the sound."""
    from pyopen_wakeword import OpenWakeWordFeatures

    networks, features, theirs = SpeechEmbedding(), OpenWakeWordFeatures.from_builtin(), []
    sound = np.concatenate((np.zeros(8 * 16_000, np.float32), said_twice.samples[: 40 * FRAME]))
    for frame in sound[8 * 16_000 :].reshape(-1, FRAME):
        theirs += [
            e[0, 0, 0] for e in features.process_streaming(np.round(frame * 32767).astype("<i2").tobytes())
        ]
    starts = range(0, len(sound) - FRAME - LOOK_BACK + 1, FRAME)
    mels = np.concatenate([networks.mel(sound[i : i + FRAME + LOOK_BACK]) for i in starts])  # (T, 32)
    ours = networks.of(np.stack([mels[i : i + 76] for i in range(0, len(mels) - 75, 8)]))
    assert len(ours) == len(theirs)
    assert ours[-30:] == pytest.approx(np.array(theirs[-30:]), abs=1e-3)


# --- heads ----------------------------------------------------------------------------------------------------------


def a_head(folder: Path, **changed: object) -> Path:
    config = HeadConfig(word="loud", n_embeddings=2)
    weights = {
        "mean": np.zeros(96), "scale": np.ones(96), "hidden.weight": np.zeros((3, 192)), "hidden.bias": np.ones(3),
        "out.weight": np.full((1, 3), 2.0), "out.bias": np.full(1, -6.0),
    } | changed  # fmt: skip
    path = folder / "loud.safetensors"
    save_file(
        {k: np.asarray(v, np.float32) for k, v in weights.items()}, path, {"config": config.model_dump_json()}
    )
    return path


def test_a_head_is_loaded_from_a_file_and_computes_what_is_written(tmp_path: Path) -> None:
    head = Head.load(a_head(tmp_path))
    assert head(np.zeros((4, 2, 96), np.float32)) == pytest.approx(np.full(4, 0.5))
    assert load_wake(str(a_head(tmp_path))).word == "loud"


def test_a_file_that_is_no_head_is_named(tmp_path: Path) -> None:
    with pytest.raises(WakeError, match="is not the head of a wake word"):
        load_wake(str(a_head(tmp_path, **{"hidden.weight": np.zeros((3, 100))})))
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(WakeError, match="is not the head of a wake word"):
        load_wake(str(tmp_path / "text.safetensors"))


@pytest.mark.parametrize("word", ["", "nonesuch", "/no/such/file"])
def test_an_unknown_word_is_named_with_the_choice(word: str) -> None:
    with pytest.raises(WakeError, match=r"Select one of computer, alexa, hey jarvis, .* or give the file"):
        load_wake(word)
