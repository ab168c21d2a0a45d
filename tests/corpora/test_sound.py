from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from spoken import record, write

from entrain_training.corpora import CorpusError
from entrain_training.corpora.sound import channels, find, look


def sphere(path: Path, n_channels: int = 2) -> Path:
    """An eighth of a second of µ-law at 8 kHz, as LDC writes it; channel n at an amplitude of (n + 1)/10."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.tile(np.arange(1, n_channels + 1) / 10, (1_000, 1))
    soundfile.write(path, samples, 8_000, format="NIST", subtype="ULAW")
    return path


def shortened(path: Path) -> Path:
    """The head of a file compressed with shorten, as Fisher is distributed."""
    whole = sphere(path).read_bytes()
    coding = b"sample_coding -s26 ulaw,embedded-shorten-v2.00"
    path.write_bytes(whole.replace(b"sample_coding -s4 ulaw", coding, 1))
    return path


def test_sphere_is_read_channel_by_channel(tmp_path: Path):
    path = sphere(tmp_path / "call.sph")
    where, faults = channels(path, {"ann": 0, "bo": 1}, "call.sph")
    assert (where, faults) == ({"ann": (path, 0), "bo": (path, 1)}, [])
    samples, rate_hz = soundfile.read(path)
    assert rate_hz == 8_000
    assert np.abs(samples.mean(axis=0) - [0.1, 0.2]).max() < 0.01


def test_shorten_is_an_error_that_names_the_tool(tmp_path: Path):
    path = shortened(tmp_path / "call.sph")
    with pytest.raises(CorpusError, match=r"call\.sph is compressed with shorten.*sph2pipe -p -f wav"):
        look(path)


def test_a_converted_file_goes_before_the_one_it_was_made_from(tmp_path: Path):
    shortened(tmp_path / "a" / "call.sph")
    wav = record(tmp_path / "z" / "call.wav")
    flac = record(tmp_path / "other.FLAC")
    write(tmp_path / "call.txt", "")
    assert find(tmp_path) == {"call": wav, "other": flac}


@pytest.mark.parametrize("content", [b"", b"NIST_1A\n", b"RIFF", b"text"])
def test_damaged_files_are_listed(tmp_path: Path, content: bytes):
    path = tmp_path / "call.sph"
    path.write_bytes(content)
    where, faults = channels(path, {"ann": 0}, "call.sph")
    assert where == {}
    assert len(faults) == 1
    assert str(path) in faults[0]


def test_missing_files_are_listed(tmp_path: Path):
    assert channels(None, {"ann": 0}, "call.sph") == ({}, ["no audio: call.sph is not there"])
    gone = tmp_path / "gone.wav"
    assert channels(gone, {"ann": 0}, "") == ({}, [f"no audio: {gone} is not there"])
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0), 8_000)
    assert channels(empty, {"ann": 0}, "") == ({}, [f"no audio: {empty} holds no samples"])


def test_one_channel_is_not_two(tmp_path: Path):
    path = sphere(tmp_path / "call.sph", n_channels=1)
    where, faults = channels(path, {"ann": 0, "bo": 1}, "")
    assert where == {}
    assert faults == [f"no audio: {path} has 1 channel for ann, bo"]
