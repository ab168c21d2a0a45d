"""Smart Turn: its features are Whisper's, its answer is Pipecat's, and it tells an end from a pause."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import glide, noise, silence
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.smart_turn import SmartTurn, last_window, log_mel

pytest.importorskip("onnxruntime", reason="pip install 'entrain[ears]'")


@pytest.fixture(scope="module")
def smart_turn() -> SmartTurn:
    pytest.importorskip("pipecat", reason="pip install 'entrain[ears]'")
    return SmartTurn()


SOUNDS = {
    "noise": noise(3.0).samples,
    "glide": glide(100, 4_000, 9.0).samples,
    "silence": silence(1.0).samples,
    "nothing": np.zeros(0, np.float32),
    "offset": np.full(8_000, 0.2, np.float32),
}


WHISPER = """
import sys
sys.modules["torchaudio"] = None  # transformers can do without, but not with one that does not load
import numpy as np
from transformers import WhisperFeatureExtractor
windows = np.load(sys.argv[1])
features = WhisperFeatureExtractor(chunk_length=8)(
    list(windows), sampling_rate=16_000, padding="max_length", max_length=128_000, truncation=True,
    do_normalize=True, return_tensors="np",
)
np.save(sys.argv[1], features.input_features)
"""


def test_features_are_those_of_whispers_extractor(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not there to compare with")
    windows, file = np.stack([last_window(samples) for samples in SOUNDS.values()]), tmp_path / "windows.npy"
    np.save(file, windows)
    subprocess.run([sys.executable, "-c", WHISPER, str(file)], check=True)
    theirs = np.load(file)
    assert theirs.shape == (len(SOUNDS), 80, 800)
    for window, features in zip(windows, theirs, strict=True):
        assert log_mel(window) == pytest.approx(features, abs=1e-3)


@pytest.mark.parametrize("name", SOUNDS)
def test_it_answers_as_pipecats_own_analyser(name: str, smart_turn: SmartTurn) -> None:
    v3 = pytest.importorskip("pipecat.audio.turn.smart_turn.local_smart_turn_v3")

    async def theirs(samples: NDArray[np.float32]) -> float:  # its executor wants a loop
        return v3.LocalSmartTurnAnalyzerV3(sample_rate=16_000)._predict_endpoint(samples)["probability"]

    samples = SOUNDS[name]
    assert smart_turn.complete(samples) == pytest.approx(asyncio.run(theirs(samples)), abs=1e-3)


def test_nan_does_not_come_out(smart_turn: SmartTurn) -> None:
    assert 0 <= smart_turn.complete(np.full(16_000, np.nan, np.float32)) <= 1


def test_a_question_is_complete_at_its_end_and_not_before(data: Path, smart_turn: SmartTurn) -> None:
    ends, earlier = [], []
    for file in sorted((data / "turn_phrases").glob("*_long_*.flac"))[::9]:
        samples = Audio.read(file).samples
        ends.append(smart_turn.complete(samples))
        earlier.append(smart_turn.complete(np.pad(samples[: len(samples) * 6 // 10], (0, 3_200))))
    assert np.mean(np.array(ends) >= 0.5) >= 0.8
    assert np.mean(np.array(earlier) >= 0.5) <= 0.2
