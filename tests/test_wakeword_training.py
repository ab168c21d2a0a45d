"""Training a wake word's head: recordings of one sound against another, made here, in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import glide, joined, noise, silence, syllables, tone
from typer.testing import CliRunner

from entrain.audio import Audio
from entrain.embedding import FRAME, Embedder, SpeechEmbedding
from entrain.wake import load_wake

pytest.importorskip("onnx", reason="pip install 'entrain[onnx]'")
wakeword = pytest.importorskip("entrain_training.wakeword")
wake_sound = pytest.importorskip("entrain_training.wake_sound")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The "word" is a rising tone; other sounds are steady or fall."""
    root, rng = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    for kind in ("word", "other", "noise"):
        (root / kind).mkdir()
    for i in range(30):
        low, high = rng.uniform(200, 300), rng.uniform(700, 1_000)
        joined(silence(0.3), glide(low, high, 0.6), silence(0.3)).write(root / "word" / f"{i}.wav")
        other = (glide(high, low, 0.6), tone(low, 0.6), syllables(4, 0.6))[i % 3]
        joined(silence(0.3), other, silence(0.3)).write(root / "other" / f"{i}.wav")
        noise(2.0, amplitude=0.01 * (i + 1)).write(root / "noise" / f"{i}.wav")
    (root / "other" / "broken.wav").write_bytes(b"not audio")
    return root


def test_whole_recordings_give_the_embeddings_of_the_stream() -> None:
    samples = syllables(4, 3.0).samples
    live = Embedder(SpeechEmbedding()).embed(samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME))
    assert wakeword.Whole().embed(samples) == pytest.approx(live, abs=1e-3)


def test_no_two_variations_are_the_same_and_a_seed_repeats_them() -> None:
    samples, noises = tone().samples, [noise().samples]
    rng, again = np.random.default_rng(1), np.random.default_rng(1)
    first, second = (wake_sound.varied(samples, noises, rng) for _ in range(2))
    assert len(first) != len(second) or not np.allclose(first, second)
    assert wake_sound.varied(samples, noises, again) == pytest.approx(first)


def test_noise_is_mixed_at_the_level_that_was_asked_for() -> None:
    sound, hiss = tone(amplitude=0.1).samples, noise(3.0, amplitude=0.5).samples
    mixed = wake_sound.mixed(sound, hiss, 10.0, np.random.default_rng(0))
    snr_db = 10 * np.log10(np.mean(sound**2) / np.mean((mixed - sound) ** 2))
    assert snr_db == pytest.approx(10, abs=0.5)


def test_the_same_recording_is_always_on_the_same_side(folders: Path) -> None:
    train, test = wake_sound.parted([folders / "word"])
    assert len(train) + len(test) == 30
    assert 1 <= len(test) <= 12
    assert [len(s) for s in wake_sound.parted([folders / "word"])[1]] == [len(s) for s in test]


def test_a_head_is_made_that_hears_its_word(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import typer

    monkeypatch.setattr(wakeword, "COPIES", {True: 2, False: 2})
    app = typer.Typer()
    app.command()(wakeword.main)
    out = tmp_path / "rising.safetensors"
    done = CliRunner().invoke(
        app,
        ["--word", "rising", "--positives", str(folders / "word"), "--negatives", str(folders / "other"),
         "--noise", str(folders / "noise"), "--out", str(out), "--threshold", "0.6"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "broken.wav is not readable as audio" in done.output
    assert "false accepts per hour" in " ".join(done.output.replace("┃", " ").split())
    wake = load_wake(str(out))
    assert (wake.word, wake.threshold) == ("rising", 0.6)
    heard = [
        bool(wake.stream().feed(joined(silence(1), sound, silence(1)).samples))
        for sound in (glide(250, 850, 0.6), Audio(glide(250, 850, 0.6).samples[::-1], 16_000))
    ]
    assert heard == [True, False]


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="holds no recordings"):
        wake_sound.read(tmp_path)
