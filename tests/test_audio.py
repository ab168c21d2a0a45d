"""Audio keeps its samples and its rate together, reads what can be read, and says what is wrong with the rest."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import clipped, silence, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.audio import Audio, AudioError, clipped_count

RATES_HZ = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000)


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros((2, 100)), r"shape \(2, 100\).*one channel"),
        (np.zeros(100, np.int16), "int16.*from_pcm16"),
        (np.array([0, np.nan, 0, np.inf]), "2 of 4 samples are NaN or infinite, the first at index 1"),
        (np.array([1e300]), "1 of 1 samples"),
        (np.zeros(100, complex), "complex"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_samples_that_are_no_sound_are_refused(samples: np.ndarray, says: str) -> None:
    with pytest.raises(AudioError, match=says):
        Audio(samples, 16_000)


@pytest.mark.parametrize("rate_hz", [0, -16_000, 3_999, 192_001, 16_000.5, float("nan"), float("inf")])
def test_rates_that_no_device_has_are_refused(rate_hz: float) -> None:
    with pytest.raises(AudioError, match="rate_hz is"):
        Audio(np.zeros(10, np.float32), rate_hz)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_samples", [0, 1])
def test_almost_nothing_is_audio_too(n_samples: int) -> None:
    audio = Audio(np.zeros(n_samples), 16_000)
    assert audio.level_db is None
    assert audio.clipped_ratio == 0
    assert audio.duration_s == n_samples / 16_000


def test_samples_are_float32_whatever_came() -> None:
    assert Audio(np.zeros(4, np.float64), 16_000).samples.dtype == np.float32


def test_full_scale_is_0_db_and_a_sine_3_db_below() -> None:
    assert Audio(np.ones(100), 16_000).level_db == pytest.approx(0)
    assert tone(amplitude=1.0).level_db == pytest.approx(-3.0103, abs=1e-4)


@given(st.floats(-60, 20))
def test_gain_moves_the_level_by_itself(gain_db: float) -> None:
    assert tone().gain(gain_db).level_db == pytest.approx(tone().level_db + gain_db, abs=1e-4)  # type: ignore[operator]


def test_clipping_is_three_samples_at_full_scale_in_a_row() -> None:
    assert clipped_count(np.float32([1, 1, 0, 1, 1, 1, 0, -1, -1, -1, -1])) == 7
    assert clipped_count(np.float32([1, -1, 1])) == 3  # alternating full scale is clipped as well
    assert clipped(tone()).clipped_ratio == 0, "turned up to .79: no clipping"
    assert clipped(tone(), 26).clipped_ratio > 0.5


# --- resampling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_resampling_keeps_duration_and_level(rate_hz: int) -> None:
    resampled = tone(300, 1.0).resample(rate_hz)
    assert resampled.rate_hz == rate_hz
    assert resampled.duration_s == pytest.approx(1.0, abs=1.5 / rate_hz)
    assert resampled.level_db == pytest.approx(tone(300, 1.0).level_db, abs=0.02)


@pytest.mark.parametrize("rate_hz", [22_050, 48_000])
def test_resampling_there_and_back_is_the_same_sound(rate_hz: int) -> None:
    original = tone(300, 1.0)
    there_and_back = original.resample(rate_hz).resample(16_000)
    inner = slice(400, -400)
    assert np.abs(there_and_back.samples[inner] - original.samples[inner]).max() < 1e-4


def test_resampling_to_its_own_rate_costs_nothing_and_empty_stays_empty() -> None:
    original = tone()
    assert original.resample(16_000) is original
    assert Audio.empty(16_000).resample(8_000).rate_hz == 8_000


# --- parts ----------------------------------------------------------------------------------------------------------


@given(start_s=st.floats(-2, 3), length_s=st.floats(0, 3))
def test_parts_lie_within_what_there_is(start_s: float, length_s: float) -> None:
    part = tone().part(start_s, start_s + length_s)
    inside_s = max(0.0, min(1.0, start_s + length_s) - min(1.0, max(0.0, start_s)))
    assert part.duration_s == pytest.approx(inside_s, abs=2 / 16_000)


def test_a_part_may_run_to_infinity() -> None:
    assert tone().part(0.5, float("inf")).duration_s == 0.5


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_what_is_written_is_read_at_its_own_rate(tmp_path: Path, rate_hz: int, suffix: str) -> None:
    original = tone(rate_hz=rate_hz)
    read = Audio.read(original.write(tmp_path / f"tone.{suffix}"))
    assert read.rate_hz == rate_hz
    assert np.abs(read.samples - original.samples).max() <= 1.01 / 32768


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_sample_format_reads_the_same(tmp_path: Path, subtype: str) -> None:
    soundfile.write(tmp_path / "tone.wav", tone().samples, 16_000, subtype=subtype)
    assert np.abs(Audio.read(tmp_path / "tone.wav").samples - tone().samples).max() < 0.01


def test_24_bit_keeps_what_16_bit_loses(tmp_path: Path) -> None:
    faint = tone(amplitude=1e-5)
    soundfile.write(tmp_path / "faint.wav", faint.samples, 16_000, subtype="PCM_24")
    assert Audio.read(tmp_path / "faint.wav").level_db == pytest.approx(faint.level_db, abs=0.1)


def test_stereo_is_averaged(tmp_path: Path) -> None:
    left_only = np.stack([tone().samples, silence(1).samples], axis=1)
    soundfile.write(tmp_path / "stereo.wav", left_only, 16_000, subtype="FLOAT")
    assert np.allclose(Audio.read(tmp_path / "stereo.wav").samples, tone().samples / 2)


def test_streams_are_read_and_wav_bytes_are_a_stream() -> None:
    assert Audio.read(io.BytesIO(tone().wav())).duration_s == 1.0


def test_beyond_full_scale_is_limited_when_written_not_wrapped(tmp_path: Path) -> None:
    read = Audio.read(tone().gain(40).write(tmp_path / "loud.wav"))
    assert np.array_equal(read.samples > 0.99, tone().gain(40).samples > 0.99)


def test_a_truncated_wav_is_read_as_far_as_it_goes_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(tone().wav()[: 44 + 2 * 4_000])
    with caplog.at_level(logging.WARNING):
        assert Audio.read(path).duration_s == 0.25
    assert "cut.wav is cut off: 8000 of 32000 bytes are there, 4000 samples kept" in caplog.text


def test_a_whole_wav_gives_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Audio.read(tone().write(tmp_path / "whole.wav"))
    assert not caplog.text


def test_a_text_file_is_not_audio(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    path.write_text("It was the best of times.")
    with pytest.raises(AudioError, match=r"speech\.wav is not readable as audio.*Wav, flac"):
        Audio.read(path)


@pytest.mark.parametrize("name", ["missing.wav", ""])
def test_a_missing_file_or_a_folder_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(AudioError, match="no such file"):
        Audio.read(tmp_path / name)


def test_a_file_without_samples_says_so(data: Path) -> None:
    with pytest.raises(AudioError, match=r"data_empty\.wav holds no samples"):
        Audio.read(data / "two_channel" / "data_empty.wav")


def test_nan_in_a_file_names_the_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "nan.wav", np.float32([0, np.nan]), 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan\.wav: 1 of 2 samples are NaN"):
        Audio.read(tmp_path / "nan.wav")


# --- 16-bit ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-32768, 32767), max_size=50))
@settings(max_examples=50)
def test_pcm16_is_the_same_from_bytes_and_from_integers(values: list[int]) -> None:
    integers = np.array(values, "<i2")
    audio = Audio.from_pcm16(integers, 8_000)
    assert np.array_equal(audio.samples, Audio.from_pcm16(integers.tobytes(), 8_000).samples)
    assert np.array_equal(audio.samples * 32768, integers)


@pytest.mark.parametrize("pcm", [b"\0\0\0", np.zeros(3, np.int32), np.zeros(3, np.float32)])
def test_what_is_not_16_bit_is_refused(pcm: bytes | np.ndarray) -> None:
    with pytest.raises(AudioError, match=r"16-bit|int16 is needed"):
        Audio.from_pcm16(pcm, 8_000)
