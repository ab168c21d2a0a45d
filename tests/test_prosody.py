"""The features of a turn: known truth, known figures, what must not matter, and what can't be measured."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from conftest import clipped, glide, joined, noise, pulses, silence, syllables, tone
from hypothesis import given, settings
from hypothesis import strategies as st
from parselmouth.praat import call

from entrain.audio import Audio
from entrain.prosody import (
    DB_RE_FULL_SCALE,
    NUCLEI_FOUND,
    Extractor,
    _sound,
    extract,
    praat_75_600,
    speech_seconds,
    with_text,
)
from entrain.turn import FEATURES, Features, Word

# How far a value may move when the same speech comes in other blocks, later in the stream, or through another rate.
TOLERANCE = {
    "f0_mean_st": 0.15, "f0_range_st": 0.35, "level_db": 0.2, "rate_syll_s": 0.35,
    "jitter": 0.0015, "shimmer": 0.01, "nhr": 0.01,
}  # fmt: skip


def chunks(audio: Audio, sizes: Iterable[int]) -> Iterable[np.ndarray]:
    """The audio in pieces of these sizes, then the rest."""
    start = 0
    for size in sizes:
        yield audio.samples[start : start + size]
        start += size
    yield audio.samples[start:]


def stream(audio: Audio, sizes: Iterable[int]) -> Features:
    extractor = Extractor(audio.rate_hz)
    for chunk in chunks(audio, sizes):
        extractor.feed(chunk)
    return extractor.finish()


def assert_alike(one: Features, other: Features, scale: float = 1.0) -> None:
    for name, tolerance in TOLERANCE.items():
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=scale * tolerance), name


def assert_every_gap_has_its_reason(features: Features) -> None:
    gaps = {name for name in FEATURES if getattr(features, name) is None}
    assert gaps == set(features.missing)
    assert all(features.missing.values())
    assert all(math.isfinite(getattr(features, name)) for name in set(FEATURES) - gaps)


# --- known truth ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hz", [70, 100, 150, 220, 400, 600])
def test_a_tones_pitch_is_its_semitones_re_100_hz(hz: float) -> None:
    features = extract(tone(hz))
    assert features.f0_mean_st == pytest.approx(12 * math.log2(hz / 100), abs=0.02)
    assert features.f0_range_st == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("amplitude", [1e-4, 0.01, 0.1, 0.9])
def test_a_tones_level_is_that_of_its_amplitude(amplitude: float) -> None:
    level_db = 20 * math.log10(amplitude / math.sqrt(2))
    assert extract(tone(amplitude=amplitude)).level_db == pytest.approx(level_db, abs=0.02)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(100, 200), (300, 150), (90, 220)])
def test_a_glides_mean_is_its_middle_and_its_range_nine_tenths(from_hz: float, to_hz: float) -> None:
    features = extract(glide(from_hz, to_hz, 3.0))
    assert features.f0_mean_st == pytest.approx(12 * math.log2(math.sqrt(from_hz * to_hz) / 100), abs=0.15)
    assert features.f0_range_st == pytest.approx(0.9 * abs(12 * math.log2(to_hz / from_hz)), rel=0.04)


@given(st.floats(-6, 6))
@settings(max_examples=15, deadline=None)
def test_a_shift_by_semitones_is_measured_as_that(semitones: float) -> None:
    factor = 2 ** (semitones / 12)
    usual, shifted = extract(glide(140, 180)), extract(glide(140 * factor, 180 * factor))
    assert shifted.f0_mean_st - usual.f0_mean_st == pytest.approx(semitones, abs=0.02)  # type: ignore[operator]


@pytest.mark.parametrize("semitones", [-3, -1, 2])
def test_speech_shifted_by_praat_is_measured_as_shifted(reading: Audio, semitones: float) -> None:
    audio = reading.part(0, 4).resample(16_000)
    manipulation = call(_sound(audio.samples.astype(float), 16_000), "To Manipulation", 0.01, 75, 500)
    tier = call(manipulation, "Extract pitch tier")
    call(tier, "Multiply frequencies", 0, 10, 2 ** (semitones / 12))
    call([tier, manipulation], "Replace pitch tier")
    shifted = Audio(call(manipulation, "Get resynthesis (overlap-add)").values[0], 16_000)
    moved_st = extract(shifted).f0_mean_st - extract(audio).f0_mean_st  # type: ignore[operator]
    assert moved_st == pytest.approx(semitones, abs=0.3)


@pytest.mark.parametrize("jitter", [0, 0.005, 0.01])
def test_jitter_of_pulses_is_what_was_put_in(jitter: float) -> None:
    periods_s = (1 + jitter / 2 * (-1) ** np.arange(500)) / 140
    features = extract(pulses(periods_s, np.ones(500)))
    assert features.jitter == pytest.approx(jitter, abs=1e-4)
    assert features.shimmer == pytest.approx(0, abs=0.002)


@pytest.mark.parametrize("shimmer", [0, 0.02, 0.05, 0.1])
def test_shimmer_of_pulses_is_what_was_put_in(shimmer: float) -> None:
    heights = 1 + shimmer / 2 * (-1.0) ** np.arange(500)
    features = extract(pulses(np.full(500, 1 / 140), heights))
    assert features.shimmer == pytest.approx(shimmer, rel=0.03, abs=0.001)
    assert features.jitter == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("spread", [0.005, 0.01, 0.02])
def test_random_jitter_is_measured_too(spread: float) -> None:
    periods_s = (1 + spread * np.random.default_rng(0).standard_normal(500)) / 140
    jitter = np.abs(np.diff(periods_s)).mean() / periods_s.mean()
    assert extract(pulses(periods_s, np.ones(500))).jitter == pytest.approx(jitter, rel=0.03)


def test_noise_in_a_tone_is_its_nhr() -> None:
    mixed = Audio(
        tone(150, 2.0).samples + noise(2.0, amplitude=0.0224).samples, 16_000
    )  # 10 dB below the tone
    assert extract(mixed).nhr == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize("per_s", [2, 3, 4, 5, 6])
def test_syllables_are_counted_by_their_nuclei(per_s: float) -> None:
    features = extract(syllables(per_s))
    assert features.n_syllables == round(per_s * 5 / NUCLEI_FOUND), (
        "these are all found; of real syllables .8 are"
    )
    assert features.rate_source == "nuclei"
    assert features.rate_syll_s == pytest.approx(per_s / NUCLEI_FOUND, rel=0.04)


def test_estimated_and_counted_rates_are_on_one_scale(data: Path) -> None:
    """Sentences of the recordings that `NUCLEI_FOUND` was not measured on (every second file)."""
    syllables_of = {
        "a01": 8,
        "a02": 9,
        "a04": 11,
        "a05": 17,
        "a07": 10,
        "b01": 15,
        "b02": 19,
        "b03": 23,
        "b09": 17,
        "b10": 14,
    }
    files = sorted((data / "emotion" / "emodb4").glob("*.flac"))[1::6]
    ratios = [extract(Audio.read(f)).n_syllables / syllables_of[f.stem.split("_")[1][2:5]] for f in files]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.06)


def test_a_steady_vowel_is_one_syllable() -> None:
    assert extract(tone(seconds=0.5)).n_syllables == 1


def test_rate_goes_up_when_the_same_words_take_less_time() -> None:
    """Duration copied as if it were rate would fall here."""
    text = "We open at nine."
    slow, fast = extract(tone(seconds=2.0), text), extract(tone(seconds=1.0), text)
    assert fast.rate_syll_s / slow.rate_syll_s == pytest.approx(2, rel=0.05)  # type: ignore[operator]
    assert slow.rate_syll_s == pytest.approx(5 / 2, rel=0.05)


def test_pauses_are_no_part_of_the_rate() -> None:
    whole = extract(tone(seconds=2.0), "We open at nine.")
    paused = extract(joined(tone(), silence(0.8), tone()), "We open at nine.")
    assert paused.rate_syll_s == pytest.approx(whole.rate_syll_s, rel=0.06)
    assert paused.duration_s == pytest.approx(2.8)


@pytest.mark.parametrize("floor_db", [-90, None])
def test_a_pause_of_digital_silence_is_as_long_as_one_of_faint_noise(floor_db: float | None) -> None:
    pause = silence(0.75) if floor_db is None else noise(0.75, amplitude=10 ** (floor_db / 20))
    assert extract(joined(tone(seconds=0.4), pause, tone(seconds=0.4))).speech_s == pytest.approx(
        0.86, abs=0.02
    )


@pytest.mark.parametrize("after_s", [0, 1, 20, 60])
def test_silence_after_a_turn_changes_nothing_of_its_speech(after_s: float) -> None:
    padded = extract(joined(syllables(4), silence(after_s)))
    assert padded.n_syllables == round(20 / NUCLEI_FOUND)
    assert padded.speech_s == pytest.approx(4.98, abs=0.03)


# --- known figures --------------------------------------------------------------------------------------------------

KNOWN = {  # shared/reference/vectors.md
    "f0_mean_hz": 205.42806069399035, "f0_min_hz": 120.73173426748869, "f0_max_hz": 589.8008432968754,
    "f0_q05_hz": 128.34934356650268, "f0_q95_hz": 310.9471572242776,
    "log10_f0_mean": 2.2936195554311616, "log10_f0_range": 0.38429140856992117,
    "intensity_db": 70.30258489956978, "voiced_db": 71.72455805736921,
    "jitter": 0.012706831021543774, "shimmer": 0.11938535003912848, "voiced_s": 5.4497505668934245,
}  # fmt: skip


def test_the_canonical_script_is_reproduced_to_its_digits(reading: Audio) -> None:
    found = praat_75_600(reading)
    assert {name: found[name] for name in KNOWN} == pytest.approx(KNOWN, rel=1e-6)
    assert found["nhr"] == pytest.approx(0.195979, abs=1e-6)
    assert found["nhr_voiced"] == pytest.approx(0.20221, abs=1e-6)


def test_the_canonical_profile_gives_those_figures_in_our_units(reading: Audio) -> None:
    features = extract(reading, profile="praat-75-600")
    assert features.profile == "praat-75-600"
    assert features.f0_mean_st == pytest.approx(12 * math.log2(KNOWN["f0_mean_hz"] / 100), rel=1e-6)
    assert features.f0_range_st == pytest.approx(12 / math.log10(2) * KNOWN["log10_f0_range"], rel=1e-6)
    assert features.level_db == pytest.approx(KNOWN["voiced_db"] + DB_RE_FULL_SCALE, rel=1e-6)
    assert features.jitter == pytest.approx(KNOWN["jitter"], rel=1e-6)
    assert features.shimmer == pytest.approx(KNOWN["shimmer"], rel=1e-6)


def test_the_default_profile_is_free_of_the_octave_error(reading: Audio) -> None:
    extractor = Extractor(reading.rate_hz)
    extractor.feed(reading.samples)
    features = extractor.finish()
    floor_hz, ceiling_hz = extractor.limits_hz
    assert ceiling_hz < 450 < KNOWN["f0_max_hz"]
    assert floor_hz < 128
    assert features.f0_mean_st == pytest.approx(12 * math.log2(KNOWN["f0_mean_hz"] / 100), abs=1.2)


@pytest.mark.parametrize(
    ("name", "span_s", "limits_hz", "known_hz"),
    [
        ("data_200-300-100", (0, 0.4), (50, 500), {"maximum": 200.002}),
        ("data_200-300-100", (0.8, 1.6), (50, 500), {"maximum": 300.002}),
        ("data_200-300-100", (2, 2.4), (50, 500), {"maximum": 100.003}),
        ("data_hola-camaron", (0, 0.342604), (50, 500), {"maximum": 103.970}),
        ("data_hola-camaron", (1.485208, 2.129437), (50, 500), {"maximum": 92.121}),
        ("examples_data_test-A", (0.286443, 2.608278), (75, 500),
         {"mean": 150.078, "maximum": 406.97, "minimum": 107.295, "standard deviation": 41.348}),
        ("examples_data_test-B", (2.759688, 3.407453), (50, 300),
         {"mean": 118.065, "maximum": 142.659, "minimum": 61.307, "standard deviation": 15.331}),
    ],
)  # fmt: skip
def test_parts_of_recordings_have_their_known_pitch(
    data: Path,
    name: str,
    span_s: tuple[float, float],
    limits_hz: tuple[float, float],
    known_hz: dict[str, float],
) -> None:
    """To 2 in 10,000: Praat's own `Extract part` begins a sample earlier than ours."""
    part = Audio.read(data / "two_channel" / f"{name}.wav").part(*span_s)
    pitch = call(_sound(part.samples.astype(float), part.rate_hz), "To Pitch", 0, *limits_hz)
    for figure, hz in known_hz.items():
        how = ["Parabolic"] if "imum" in figure else []
        assert call(pitch, f"Get {figure}", 0, 0, "Hertz", *how) == pytest.approx(hz, rel=2e-4), figure


@pytest.mark.parametrize(("span_s", "hz"), [((0, 0.4), 200), ((0.8, 1.6), 300), ((2, 2.4), 100)])
def test_recorded_tones_have_their_pitch_in_the_default_profile(
    data: Path, span_s: tuple[float, float], hz: float
) -> None:
    part = Audio.read(data / "two_channel" / "data_200-300-100.wav").part(*span_s)
    assert extract(part).f0_mean_st == pytest.approx(12 * math.log2(hz / 100), abs=0.02)


# --- what must not matter -------------------------------------------------------------------------------------------


@given(st.floats(-50, 4))
@settings(max_examples=8, deadline=None)
def test_gain_moves_the_level_by_itself_and_nothing_else(gain_db: float) -> None:
    sound = joined(glide(120, 200, 1.0), silence(0.3), syllables(4, 1.0))
    usual, moved = extract(sound), extract(sound.gain(gain_db))
    assert moved.level_db - usual.level_db == pytest.approx(gain_db, abs=1e-3)  # type: ignore[operator]
    for name in set(FEATURES) - {"level_db"}:
        assert getattr(moved, name) == pytest.approx(getattr(usual, name), rel=1e-3, abs=1e-5), name


@pytest.mark.parametrize("gain_db", [-50, 5])
def test_gain_leaves_a_readings_other_features_alone(reading: Audio, gain_db: float) -> None:
    part = reading.part(0, 4)
    usual, moved = extract(part), extract(part.gain(gain_db))
    assert moved.level_db - usual.level_db == pytest.approx(gain_db, abs=1e-3)  # type: ignore[operator]
    for name in set(FEATURES) - {"level_db"}:
        assert getattr(moved, name) == pytest.approx(getattr(usual, name), rel=1e-3), name


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 44_100, 48_000, 96_000])
def test_the_rate_of_the_microphone_does_not_matter(reading: Audio, rate_hz: int) -> None:
    assert_alike(extract(reading.resample(rate_hz)), extract(reading))


def test_from_16_khz_up_it_matters_not_at_all(reading: Audio) -> None:
    assert_alike(extract(reading.resample(48_000)), extract(reading), scale=0.01)


@pytest.mark.parametrize("later_s", [0.013, 0.123, 0.333, 1.0])
def test_where_in_the_stream_a_turn_begins_does_not_matter(reading: Audio, later_s: float) -> None:
    assert_alike(extract(joined(silence(later_s, reading.rate_hz), reading)), extract(reading))


@pytest.mark.parametrize("block_s", [0.25, 1.0, math.inf])
def test_the_length_of_a_block_does_not_matter(reading: Audio, block_s: float) -> None:
    extractor = Extractor(reading.rate_hz, block_s)
    extractor.feed(reading.samples)
    assert_alike(extractor.finish(), extract(reading))


@given(st.lists(st.integers(0, 20_000), max_size=12))
@settings(max_examples=12, deadline=None)
def test_streaming_equals_whole_to_the_bit(sizes: list[int]) -> None:
    sound = joined(glide(110, 240, 1.3), noise(0.2, amplitude=0.01), syllables(4, 1.1), silence(0.2))
    assert stream(sound, sizes) == extract(sound)


@pytest.mark.parametrize("size", [160, 512, 7_777])
def test_streaming_a_reading_equals_whole_to_the_bit(reading: Audio, size: int) -> None:
    assert stream(reading, [size] * (len(reading.samples) // size)) == extract(reading)


def test_streaming_one_sample_at_a_time_equals_whole() -> None:
    sound = tone(seconds=0.7, rate_hz=8_000)
    assert stream(sound, [1] * len(sound.samples)) == extract(sound)


@pytest.mark.parametrize("offset", [-0.4, 0.05, 0.4])
@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_microphones_dc_offset_does_not_matter(offset: float, rate_hz: int) -> None:
    usual = extract(syllables(4, 2.0, rate_hz=rate_hz))
    shifted = extract(Audio(syllables(4, 2.0, rate_hz=rate_hz).samples + np.float32(offset), rate_hz))
    assert_alike(shifted, usual, scale=0.01)


def test_finishing_twice_gives_the_same(reading: Audio) -> None:
    extractor = Extractor(reading.rate_hz)
    extractor.feed(reading.samples[:30_000])
    assert extractor.finish() == extractor.finish()


def test_without_voice_quality_the_rest_is_the_same() -> None:
    extractor = Extractor(16_000, voice_quality=False)
    extractor.feed(syllables(4).samples)
    features, full = extractor.finish(), extract(syllables(4))
    assert features.jitter is None
    assert features.shimmer is None
    assert (features.f0_mean_st, features.level_db, features.nhr) == (
        full.f0_mean_st,
        full.level_db,
        full.nhr,
    )


# --- what can't be measured -----------------------------------------------------------------------------------------

PROFILES = ("entrain-1", "praat-75-600")
ODD = {
    "empty": Audio.empty(16_000),
    "one sample": tone(seconds=1 / 16_000),
    "63 ms": tone(seconds=0.063),
    "70 ms": tone(seconds=0.07),
    "90 ms": tone(seconds=0.09),
    "digital silence": silence(2.0),
    "long digital silence": silence(20.0),
    "DC at 16 kHz": Audio(np.full(16_000, 0.3), 16_000),
    "DC at 48 kHz": Audio(np.full(48_000, 0.3), 48_000),
    "noise": noise(),
    "a click": joined(silence(0.5), Audio(np.ones(1), 16_000), silence(0.5)),
    "clipped": clipped(tone(), 40),
    "square": Audio(np.sign(tone().samples), 16_000),
    "far beyond full scale": tone().gain(600),
    "almost nothing": tone().gain(-600),
    "the least float": Audio(np.full(16_000, 1e-45), 16_000),
    "8 kHz": tone(rate_hz=8_000),
    "96 kHz": tone(rate_hz=96_000),
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("text", ["", "two words"])
@pytest.mark.parametrize("name", ODD)
def test_odd_audio_gives_no_nan_and_a_reason_for_every_gap(name: str, text: str, profile: str) -> None:
    assert_every_gap_has_its_reason(extract(ODD[name], text, profile=profile))  # type: ignore[arg-type]


@given(
    st.lists(
        st.sampled_from([silence(0.3), tone(seconds=0.05), tone(300, 0.2), noise(0.15), clipped(tone(seconds=0.1), 40)]),
        max_size=6,
    ),
    st.sampled_from(["", "hello", "…"]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_no_mixture_gives_nan_or_a_gap_without_reason(parts: list[Audio], text: str) -> None:
    features = extract(joined(Audio.empty(16_000), *parts), text)
    assert_every_gap_has_its_reason(features)
    assert 0 <= features.voiced_s <= features.duration_s + 0.02
    assert 0 <= features.pause_ratio <= 1


@pytest.mark.parametrize("name", ["empty", "one sample", "63 ms"])
def test_too_short_says_so(name: str) -> None:
    assert extract(ODD[name]).missing == dict.fromkeys(FEATURES, "too short")


@pytest.mark.parametrize("name", ["digital silence", "long digital silence", "DC at 16 kHz", "DC at 48 kHz"])
def test_nothing_to_hear_is_no_speech(name: str) -> None:
    features = extract(ODD[name])
    assert features.missing == dict.fromkeys(FEATURES, "unvoiced") | {"rate_syll_s": "no speech"}
    assert features.speech_s == 0
    assert features.pause_ratio == 1
    assert features.rate_source == "none"


def test_noise_is_unvoiced() -> None:
    assert extract(noise()).missing["f0_mean_st"] == "unvoiced"


def test_clipping_masks_what_it_falsifies_and_keeps_the_rest(reading: Audio) -> None:
    usual, loud = extract(reading), extract(clipped(reading, 18))
    assert loud.clipped_ratio > 0.05
    assert loud.missing == dict.fromkeys(("level_db", "shimmer", "nhr"), "clipped")
    assert loud.f0_mean_st == pytest.approx(usual.f0_mean_st, abs=0.1)
    assert loud.jitter == pytest.approx(usual.jitter, rel=0.1)
    assert loud.rate_syll_s == pytest.approx(usual.rate_syll_s, rel=0.1)


def test_clipping_is_counted_the_same_in_blocks_as_in_the_whole() -> None:
    loud = clipped(tone(seconds=3.0), 40)
    assert extract(loud).clipped_ratio == pytest.approx(loud.clipped_ratio, abs=0.001)


def test_text_does_not_make_silence_speak() -> None:
    assert extract(silence(2.0), "We open at nine.").missing["rate_syll_s"] == "no speech"


def test_noise_before_the_first_word_is_not_its_pitch() -> None:
    hum = tone(70, 1.0, amplitude=0.001)
    assert extract(joined(hum, tone(200, 1.0))).f0_mean_st == pytest.approx(12, abs=0.05)


@pytest.mark.slow
def test_ten_minutes_in_one_turn_take_bounded_time(reading: Audio) -> None:
    reading = reading.resample(16_000)
    long = Audio(np.tile(reading.samples, 72)[: 600 * 16_000], 16_000)
    started = time.perf_counter()
    features = extract(long)
    assert time.perf_counter() - started < 120
    assert features.duration_s == 600
    assert_alike(features, extract(reading))


# --- words ----------------------------------------------------------------------------------------------------------


def spans(*times: tuple[float | None, float | None]) -> tuple[Word, ...]:
    return tuple(Word(text="cat", start_s=start_s, end_s=end_s) for start_s, end_s in times)


@pytest.mark.parametrize(
    ("words", "speech_s"),
    [
        ((), 0),
        (spans((0, 1)), 1),
        (spans((0, 1), (1.1, 2)), 2),  # .1 s is no pause
        (spans((0, 1), (1.5, 2)), 1.5),  # .5 s is
        (spans((1.5, 2), (0, 1)), 1.5),  # in any order
        (spans((0, 1), (0.5, 0.7), (0.9, 2)), 2),  # overlapping
        (spans((0, 1), (2, 1)), 1),  # ends before it starts
        (spans((0, 1), (None, None)), 0),  # times of some words say nothing of the rest
        (spans((None, None)), 0),
    ],
)
def test_seconds_of_speech_from_word_times(words: tuple[Word, ...], speech_s: float) -> None:
    assert speech_seconds(words) == pytest.approx(speech_s)


def test_a_word_without_times_does_not_raise_the_rate() -> None:
    timed = extract(tone(seconds=2.0), words=spans((0, 1), (1, 2)))
    one_lost = extract(tone(seconds=2.0), words=spans((0, 1), (None, None)))
    assert one_lost.rate_syll_s == pytest.approx(timed.rate_syll_s, rel=0.02)


@pytest.mark.parametrize(
    ("text", "words"), [("We open at nine.", ()), ("", spans((0.1, 0.5), (0.5, 1))), ("…", ())]
)
def test_words_that_come_later_give_the_same_rate(text: str, words: tuple[Word, ...]) -> None:
    sound = syllables(4, 2.0)
    assert with_text(extract(sound), text, words) == extract(sound, text, words)


def test_the_synthesisers_own_times_come_first() -> None:
    extractor = Extractor(16_000)
    extractor.feed(tone(seconds=2.0).samples)
    features = extractor.finish("We open at nine.", spans((0, 2)), speech_s=1.0)
    assert (features.rate_syll_s, features.rate_source) == (5.0, "words")
