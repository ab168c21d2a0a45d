"""Conditioning: what was asked is what is heard, nothing is cut off, and what could not be given is said.

Tolerances, with margin over those measured in the design (pitch .03–.04 st, duration .1–.4 %, level 0.00 dB): pitch .12 st, rate 1 %,
level .05 dB, range 20 %. The human reading is creaky, and which of its frames count as voiced changes with its rate: there the pitch
is within .25 st, or up to .4 st off and *listed* as such (PSOLA at ×1.2 on these six seconds: +.30).
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.conditioning import (
    CEILING_DB,
    ENGINES,
    Ask,
    ConditioningError,
    Realised,
    condition,
    load_engine,
    measure,
    resolve,
)
from entrain.targets import Targets
from entrain.tts import Hibari, Rendition, load_tts
from entrain.voice import VoiceProfile

TEXT = "The museum is open until five, and the garden a little longer."
HIBARI = Hibari()
VOICE = VoiceProfile.of(HIBARI)
CEILING = 10 ** (CEILING_DB / 20) + 1e-6
SOURCES = ("hibari", "espeak", "human")
BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."


def the_rendition(source: str) -> Rendition:
    if source == "hibari":
        return HIBARI.synthesise(TEXT)
    if source == "espeak":
        pytest.importorskip("espeakng_loader", reason="pip install espeakng-loader")
        return load_tts("espeak:en-us").synthesise(TEXT)
    import moonshine_voice

    reading = Audio.read(Path(moonshine_voice.__file__).parent / "assets" / "beckett.wav")
    return Rendition(reading.part(0, 6), BECKETT)


@pytest.fixture(scope="module", params=SOURCES)
def rendition(request: pytest.FixtureRequest) -> Rendition:
    return the_rendition(request.param)


@pytest.fixture(scope="module")
def hibari() -> Rendition:
    return the_rendition("hibari")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    package = {"world": "pyworld", "signalsmith": "python_stretch"}.get(request.param)
    if package:
        pytest.importorskip(package)
    return request.param


def level_at(audio: Audio, step_s: float) -> NDArray[np.float64]:
    """RMS in dB, floored 50 dB under the loudest, every `step_s` seconds of `audio`; shape (T,)."""
    edges = np.round(np.arange(0, audio.duration_s, step_s) * audio.rate_hz).astype(int)
    counts = np.diff(np.append(edges, len(audio.samples)))
    power = np.add.reduceat(np.square(audio.samples, dtype=np.float64), edges) / counts
    power = np.convolve(
        power, np.hanning(7) / 3, "same"
    )  # over three steps: a low voice's periods are 10 ms apart
    return np.maximum(10 * np.log10(power + 1e-12), 10 * np.log10(power.max()) - 50)


def lag_s(source: Audio, made: Audio) -> tuple[float, float]:
    """By how much `made` is late against the stretched source, and how alike they then are, from their envelopes."""
    step_s = 0.004
    stretch = made.duration_s / source.duration_s
    a, b = level_at(source, step_s / stretch), level_at(made, step_s)
    n = min(len(a), len(b))
    a, b = a[:n], b[:n]
    likeness = {
        lag: float(np.corrcoef(a[max(0, -lag) : n - max(0, lag)], b[max(0, lag) : n - max(0, -lag)])[0, 1])
        for lag in range(-50, 51)
    }
    best = max(likeness, key=lambda lag: likeness[lag])
    return best * step_s, likeness[best]


def formants_hz(audio: Audio, rendition: Rendition) -> NDArray[np.float64]:
    """Medians of F1–F3 by Praat's Burg method where the audio is loud, shape (3,)."""
    import parselmouth

    sound = parselmouth.Sound(audio.samples.astype(np.float64), audio.rate_hz)
    tracks = sound.to_formant_burg(time_step=0.01, max_number_of_formants=5, maximum_formant=5500)
    pitch = sound.to_pitch_ac(time_step=0.01, pitch_floor=75, pitch_ceiling=500)
    times = [t for t in tracks.xs() if (pitch.get_value_at_time(t) or 0) > 0]
    return np.array([np.nanmedian([tracks.get_value_at_time(k, t) for t in times]) for k in (1, 2, 3)])


# --- what is asked is what is heard -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f0_st", "rate", "level_db"), [(2.0, 1.12, 3.0), (-2.0, 0.88, -3.0), (0.0, 1.2, 0.0)]
)
def test_pitch_rate_and_level_come_out_as_aimed(
    rendition: Rendition, engine: str, f0_st: float, rate: float, level_db: float
) -> None:
    made = condition(rendition, Targets.shifted(VOICE, f0_st, 1.0, rate, level_db), engine)
    before, after = made.before, made.after
    assert before.f0_mean_st is not None
    assert before.rate_syll_s is not None
    assert before.level_db is not None
    assert after.f0_mean_st is not None
    off_st = after.f0_mean_st - before.f0_mean_st - f0_st
    if rendition.text == BECKETT and abs(off_st) > 0.25:
        assert made.realised.not_realised == (f"pitch: {off_st:+.2f} st off",)
        assert abs(off_st) < 0.4
    else:
        assert abs(off_st) < (0.25 if rendition.text == BECKETT else 0.12)
        assert made.realised.not_realised == ()
    assert after.rate_syll_s == pytest.approx(before.rate_syll_s * rate, rel=0.01)
    assert after.level_db == pytest.approx(before.level_db + level_db, abs=0.05)
    assert made.realised.engine == engine


@pytest.mark.parametrize("engine_of_range", ["psola", "world"])
@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_pitch_range_comes_out_as_aimed_and_leaves_the_mean(
    hibari: Rendition, engine_of_range: str, factor: float
) -> None:
    made = condition(hibari, Targets.shifted(VOICE, f0_range_factor=factor), engine_of_range)
    assert made.before.f0_range_st is not None
    assert made.after.f0_range_st == pytest.approx(made.before.f0_range_st * factor, rel=0.2)
    assert made.after.f0_mean_st == pytest.approx(made.before.f0_mean_st, abs=0.15)


@pytest.mark.parametrize("duration_x", [0.8, 1.25])
def test_the_length_is_exact_and_speech_stays_where_it_was(
    rendition: Rendition, engine: str, duration_x: float
) -> None:
    """An engine's latency would cut the first or the last word off: envelopes lie within 8 ms (PSOLA's and WORLD's frames)."""
    _, voicing = measure(rendition)
    moved = load_engine(engine)(rendition.audio, Ask(1.0, 1.0, duration_x), voicing)
    assert moved.rate_hz == rendition.audio.rate_hz
    assert abs(len(moved.samples) - len(rendition.audio.samples) * duration_x) <= 1
    late_s, likeness = lag_s(rendition.audio, moved)
    assert abs(late_s) <= 0.008
    assert likeness > 0.9


def test_the_first_and_last_tenth_of_a_second_are_still_there(hibari: Rendition, engine: str) -> None:
    """Speech cut so that it starts and ends in the middle of a vowel."""
    loud = level_at(hibari.audio, 0.01)
    starts = np.flatnonzero(loud > loud.max() - 6) * 0.01
    tight = Rendition(hibari.audio.part(starts[0], starts[-1]), TEXT)
    _, voicing = measure(tight)
    moved = load_engine(engine)(tight.audio, Ask(0.0, 1.0, 1.2), voicing)
    n, m = round(0.1 * moved.rate_hz), round(0.12 * moved.rate_hz)
    for was, now in ((slice(None, n), slice(None, m)), (slice(-n, None), slice(-m, None))):
        rms_was, rms_now = (
            float(np.sqrt(np.mean(x**2))) for x in (tight.audio.samples[was], moved.samples[now])
        )
        assert 20 * np.log10(rms_now / rms_was) > -4


@pytest.mark.parametrize("keeping", ["psola", "world"])
@pytest.mark.parametrize("source", ["hibari", "human"])
def test_formants_stay(keeping: str, source: str) -> None:
    rendition = the_rendition(source)
    made = condition(rendition, Targets.shifted(VOICE, f0_shift_st=2.0), keeping)
    moved_st = 12 * np.log2(formants_hz(made.audio, rendition) / formants_hz(rendition.audio, rendition))
    assert (np.abs(moved_st) < 1).all()


def test_the_same_request_gives_the_same_samples(hibari: Rendition, engine: str) -> None:
    targets = Targets.shifted(VOICE, 1.5, 1.0, 1.1, 2.0)
    once, twice = (condition(hibari, targets, engine).audio.samples for _ in range(2))
    assert once.tobytes() == twice.tobytes()


def test_numpy_numbers_are_numbers(hibari: Rendition, engine: str) -> None:
    _, voicing = measure(hibari)
    plain = load_engine(engine)(hibari.audio, Ask(1.0, 1.0, 1.1), voicing)
    numpy = load_engine(engine)(hibari.audio, Ask(*np.array([1.0, 1.0, 1.1])), voicing)
    assert plain.samples.tobytes() == numpy.samples.tobytes()


# --- what is not done ---------------------------------------------------------------------------------------------


def test_neutral_targets_give_the_very_same_samples(rendition: Rendition, engine: str) -> None:
    made = condition(rendition, Targets.none(VOICE), engine)
    assert made.audio is rendition.audio
    assert made.after == made.before
    assert made.realised.engine == "none"


def test_inside_the_dead_band_no_engine_touches_the_sound(rendition: Rendition, engine: str) -> None:
    made = condition(rendition, Targets.shifted(VOICE, 0.2, 1.08, 1.015, 0.0), engine)
    assert made.audio.samples.tobytes() == rendition.audio.samples.tobytes()
    assert made.realised.engine == "none"
    assert made.realised.not_realised == ()


def test_a_level_alone_is_a_gain_alone(hibari: Rendition) -> None:
    made = condition(hibari, Targets.shifted(VOICE, level_shift_db=3.0))
    assert made.realised.engine == "none"
    assert np.allclose(made.audio.samples, hibari.audio.samples * 10 ** (3 / 20), atol=1e-6)


# --- limits -------------------------------------------------------------------------------------------------------


def test_a_limiter_keeps_the_peaks_down_and_the_level_up(hibari: Rendition, engine: str) -> None:
    """+6 dB from −20 dB: every peak below the ceiling, the level met within .5 dB, or said."""
    louder = replace(hibari, audio=hibari.audio.gain(3.5))
    made = condition(louder, Targets.shifted(VOICE, 1.0, 1.0, 1.1, 6.0), engine)
    assert made.before.level_db is not None
    assert made.after.level_db == pytest.approx(made.before.level_db + 6, abs=0.5)
    assert np.abs(made.audio.samples).max() <= CEILING


def test_a_level_that_can_not_be_reached_is_listed(hibari: Rendition) -> None:
    made = condition(hibari, Targets.shifted(VOICE, level_shift_db=20.0))
    assert np.abs(made.audio.samples).max() <= CEILING
    assert made.after.level_db is not None
    assert made.realised.aim_level_db is not None
    off_db = made.after.level_db - made.realised.aim_level_db
    assert off_db < -0.1
    assert [f"level: {off_db:+.1f} dB off" in note for note in made.realised.not_realised] == [True]


def test_a_voice_over_full_scale_is_brought_below_it(hibari: Rendition, engine: str) -> None:
    """Float samples above 1 are not clipped yet; what engines make of them must be measured and limited too."""
    over = replace(hibari, audio=hibari.audio.gain(12.0))
    assert np.abs(over.audio.samples).max() > 1.5
    made = condition(over, Targets.shifted(VOICE, 2.0), engine)
    assert np.abs(made.audio.samples).max() <= CEILING
    assert made.after.level_db is not None


def test_a_clipped_rendition_keeps_its_level_and_moves_in_pitch_and_rate(
    hibari: Rendition, engine: str
) -> None:
    clipped = replace(hibari, audio=Audio(np.clip(hibari.audio.gain(25.0).samples, -1, 1), 24_000))
    made = condition(clipped, Targets.shifted(VOICE, 2.0, 1.0, 1.1, 6.0), engine)
    assert made.before.level_db is None
    assert made.before.f0_mean_st is not None
    assert made.after.f0_mean_st == pytest.approx(made.before.f0_mean_st + 2, abs=0.2)
    assert len(made.audio.samples) == pytest.approx(len(clipped.audio.samples) / 1.1, abs=1)
    assert np.abs(made.audio.samples).max() <= CEILING
    assert made.realised.aim_level_db is None
    assert any("clipped" in note for note in made.realised.not_realised)


@pytest.mark.parametrize("size", [1e6, -1e6])
def test_extreme_asks_are_limited_and_listed(hibari: Rendition, engine: str, size: float) -> None:
    made = condition(hibari, Targets.shifted(VOICE, size, size, size, size), engine)
    assert made.before.f0_mean_st is not None
    off_st = made.after.f0_mean_st - (made.before.f0_mean_st + np.copysign(4, size))
    assert abs(off_st) < 0.25 or f"pitch: {off_st:+.2f} st off" in made.realised.not_realised
    assert made.audio.duration_s / hibari.audio.duration_s == pytest.approx(
        0.74 if size > 0 else 1.34, abs=0.01
    )
    assert np.abs(made.audio.samples).max() <= CEILING
    for what in ("pitch, st", "pitch range", "duration", "level"):
        assert any(note.startswith(what) for note in made.realised.not_realised)


@pytest.mark.parametrize("part", ["f0_range_factor", "rate_factor"])
def test_a_factor_of_nothing_is_limited_too(hibari: Rendition, engine: str, part: str) -> None:
    made = condition(hibari, Targets.shifted(VOICE, **{part: 0.0}), engine)
    assert any("factor: asked" in note for note in made.realised.not_realised)


def test_signalsmith_says_that_it_has_no_range(hibari: Rendition) -> None:
    pytest.importorskip("python_stretch")
    made = condition(hibari, Targets.shifted(VOICE, 1.0, f0_range_factor=1.4), "signalsmith")
    assert made.realised.not_realised == ("pitch range: signalsmith has none",)
    assert made.before.f0_range_st is not None
    assert made.after.f0_range_st == pytest.approx(made.before.f0_range_st, rel=0.1)


# --- audio with nothing in it -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 500, 24_000])
@pytest.mark.parametrize("kind", ["silence", "noise", "click"])
def test_audio_without_voice_comes_back_as_it_is(engine: str, n: int, kind: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, n)
    samples = {"silence": np.zeros(n), "noise": noise, "click": np.eye(1, n)[0] if n else np.zeros(0)}[kind]
    rendition = Rendition(Audio(samples.astype(np.float32), 24_000), "hello")
    made = condition(rendition, Targets.shifted(VOICE, 2.0, 1.2, 1.1, 3.0), engine)
    assert made.audio is rendition.audio
    assert made.realised.not_realised == ("nothing voiced to condition",)


@pytest.mark.parametrize("seconds", [0.12, 0.3])
def test_a_short_reply_is_moved_or_left_but_never_lost(
    hibari: Rendition, engine: str, seconds: float
) -> None:
    loudest = np.argmax(level_at(hibari.audio, 0.1)) * 0.1
    short = Rendition(hibari.audio.part(loudest - seconds / 2, loudest + seconds / 2), "oh")
    made = condition(short, Targets.shifted(VOICE, 2.0, 1.0, 0.9, 1.0), engine)
    stretch = 1 / 0.9 if made.realised.engine != "none" and made.before.rate_syll_s else 1
    assert made.audio.duration_s == pytest.approx(short.audio.duration_s * stretch, rel=0.005)
    if made.realised.engine != "none":
        late_s, likeness = lag_s(short.audio, made.audio)
        assert abs(late_s) <= 0.02
        assert likeness > 0.6


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_any_rate_will_do(hibari: Rendition, engine: str, rate_hz: int) -> None:
    other = replace(hibari, audio=hibari.audio.resample(rate_hz))
    made = condition(other, Targets.shifted(VOICE, 2.0, 1.0, 1.1), engine)
    assert made.audio.rate_hz == rate_hz
    assert made.before.f0_mean_st is not None
    assert made.after.f0_mean_st == pytest.approx(made.before.f0_mean_st + 2, abs=0.15)


# --- what is reported ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anchor", ["sentence", "voice"])
def test_the_aims_reported_are_those_resolved(hibari: Rendition, anchor: str) -> None:
    targets = Targets.shifted(VOICE, 1.0, 1.1, 1.1, 2.0).model_copy(
        update={"anchor": anchor, "weight_f0": 0.5}
    )
    made = condition(hibari, targets)
    aims = resolve(targets, made.before)
    for name in ("f0_mean_st", "f0_range_st", "rate_syll_s", "level_db"):
        assert getattr(made.realised, f"aim_{name}") == aims[name]
        assert getattr(made.realised, name) == getattr(made.after, name)


def test_the_sentence_anchor_shifts_and_the_voice_anchor_goes_to_the_voices_mean(hibari: Rendition) -> None:
    before, _ = measure(hibari)
    assert before.f0_mean_st is not None
    assert before.rate_syll_s is not None
    whole = Targets.shifted(VOICE, 1.0, rate_factor=1.1)
    half = whole.model_copy(update={"weight_f0": 0.5, "anchor": "voice"})
    assert resolve(whole, before)["f0_mean_st"] == pytest.approx(before.f0_mean_st + 1)
    assert resolve(whole, before)["rate_syll_s"] == pytest.approx(before.rate_syll_s * 1.1)
    assert resolve(half, before)["f0_mean_st"] == pytest.approx((before.f0_mean_st + whole.f0_mean_st) / 2)
    assert resolve(half, before)["rate_syll_s"] == pytest.approx(whole.rate_syll_s)


def test_nothing_is_aimed_at_where_nothing_could_be_measured() -> None:
    made = condition(Rendition(Audio.empty(24_000), ""), Targets.shifted(VOICE, 2.0))
    assert made.realised == Realised(not_realised=("nothing voiced to condition",))


def test_what_the_voice_did_itself_is_not_done_again(hibari: Rendition) -> None:
    from entrain.tts import Knobs

    usual, _ = measure(hibari)
    native = HIBARI.synthesise(TEXT, Knobs(pitch_st=2.0))
    made = condition(native, Targets.shifted(VOICE, 2.0), usual=usual)
    assert usual.f0_mean_st is not None
    assert made.realised.aim_f0_mean_st == pytest.approx(usual.f0_mean_st + 2)
    assert made.after.f0_mean_st == pytest.approx(usual.f0_mean_st + 2, abs=0.3)
    assert made.realised.engine == "none"


# --- engines that are not there -----------------------------------------------------------------------------------


def test_an_unknown_engine_lists_the_choices_even_when_nothing_is_to_be_done(hibari: Rendition) -> None:
    with pytest.raises(ConditioningError, match=r"'sox'. Select one of psola, world, signalsmith"):
        condition(hibari, Targets.none(VOICE), "sox")


@pytest.mark.parametrize(
    ("name", "module", "install"),
    [
        ("world", "pyworld", "pip install 'entrain[world]'"),
        ("signalsmith", "python_stretch", "pip install 'entrain[signalsmith]'"),
    ],
)
def test_a_missing_package_says_what_to_install(
    hibari: Rendition, monkeypatch: pytest.MonkeyPatch, name: str, module: str, install: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as import finds it where it is not installed
    with pytest.raises(ConditioningError, match=re.escape(install) + ".*psola"):
        condition(hibari, Targets.shifted(VOICE, 2.0), name)
