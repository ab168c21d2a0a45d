"""Recordings to train on: what is found, and what is named when it can't be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import noise, silence, tone

from entrain_training.clips import LeftOut, find, held_out, read, read_folders
from entrain_training.schedule import TrainingError


def test_what_cannot_be_used_is_named_and_counted(tmp_path: Path):
    noise(1.0, rate_hz=44_100).write(tmp_path / "good.wav")
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "also.flac").write_bytes(b"\0" * 100)
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    tone(seconds=0.05).write(tmp_path / "short.wav")
    silence(1.0).write(tmp_path / "silent.wav")
    left_out = LeftOut()
    (clip,) = read_folders([tmp_path], left_out)
    assert (clip.path.name, len(clip.samples)) == ("good.wav", 16_000)
    told = " ".join(left_out.told())
    for part in ("2 left out, not readable", "1 left out, empty", "shorter than 0.1 s", "digital silence"):
        assert part in told
    assert "also.flac" in told  # the first of the two


def test_channels_are_averaged(tmp_path: Path):
    both = np.stack([np.full(16_000, 0.5), np.full(16_000, -0.1)], 1)
    soundfile.write(tmp_path / "stereo.wav", both, 16_000)
    (clip,) = read([tmp_path / "stereo.wav"], LeftOut())
    assert clip.samples.shape == (16_000,)
    assert clip.samples[100] == pytest.approx(0.2, abs=1e-4)


def test_a_folder_without_recordings_is_an_error(tmp_path: Path):
    with pytest.raises(TrainingError, match="holds no recordings"):
        find(tmp_path)
    with pytest.raises(TrainingError, match="there is no folder"):
        find(tmp_path / "nowhere")


def test_the_held_out_side_is_a_share_and_stays():
    names = [f"speaker {i}" for i in range(2_000)]
    sides = [held_out(name, 0.2) for name in names]
    assert 0.17 < np.mean(sides) < 0.23
    assert sides == [held_out(name, 0.2) for name in names]
    assert all(
        held_out(name, 0.4) for name, side in zip(names, sides, strict=True) if side
    )  # more, never others
