"""A turn → some hundreds of statistics of its voice, for judging emotion: eGeMAPS-like ones, and a larger set around them.

Descriptors, every 10 ms: pitch, noise, formants, harmonics and spectral shape where voiced; loudness, Mel bands, cepstrum and shape
wherever there is speech. Of each its mean, deviation, percentiles and movement. (Eyben et al. 2016, "The Geneva Minimalistic Acoustic
Parameter Set", IEEE Trans. Affective Computing 7; their windows and ours differ in detail, so the numbers do too.)
"""

from __future__ import annotations

from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from entrain import spectrum
from entrain.audio import Audio
from entrain.prosody import STEP_S, Contours, contours, speech_mask

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]

MIN_FRAMES = 5  # fewer, and a percentile says nothing
OF_EACH = ("mean", "sd", "p05", "p20", "p50", "p80", "p95", "range")
OF_MOVES = ("delta_abs", "delta_sd", "rise", "fall")
OF_COURSES = ("trend", "bend")
VOICED = (
    "f0_st",
    "hnr_db",
    "f1",
    "f2",
    "f3",
    "b1",
    "b2",
    "b3",
    *spectrum.HARMONIC,
    *(f"{n}_voiced" for n in spectrum.SHAPE),
)
MFCC = tuple(f"mfcc{i}" for i in range(1, spectrum.N_CEPSTRA + 1))
BANDS = tuple(f"mel{i}_db" for i in range(1, spectrum.N_BANDS + 1))
SPOKEN = ("loudness", *MFCC, *spectrum.SHAPE, *BANDS)
N_COURSES_VOICED, N_COURSES_SPOKEN = 2, 5  # of the first so many the course over the turn too
TEMPORAL = (
    "level_db", "duration_s", "speech_ratio", "voiced_ratio", "peaks_per_s", "segments_per_s", "segment_mean_s", "segment_sd_s",
    "gap_mean_s", "gap_sd_s", "jitter", "shimmer",
)  # fmt: skip


SCHEMA = "functionals-1"  # saved with models and caches: another number where a definition changes


def _names(descriptors: tuple[str, ...], n_courses: int) -> list[str]:
    return [f"{d}.{f}" for f in (*OF_EACH, *OF_MOVES) for d in descriptors] + [
        f"{d}.{f}" for f in OF_COURSES for d in descriptors[:n_courses]
    ]


NAMES = (*TEMPORAL, *_names(VOICED, N_COURSES_VOICED), *_names(SPOKEN, N_COURSES_SPOKEN))
"""One for each value, as `f0_st.p80`."""
GAIN = ("level_db",)
"""Those that a microphone's gain changes; all others are re the turn's own level."""
MFCC_MEANS = tuple(f"{m}.mean" for m in MFCC)
EGEMAPS = (
    *TEMPORAL,
    *(f"{d}.{f}" for d in ("f0_st", "loudness") for f in ("mean", "sd", "p20", "p50", "p80", "range", "rise", "fall")),
    *(f"{d}.{f}" for d in ("hnr_db", "f1", "f2", "f3", "b1", "b2", "b3", *spectrum.HARMONIC) for f in ("mean", "sd")),
    *(f"{d}_voiced.{f}" for d in spectrum.SHAPE[:4] for f in ("mean", "sd")),
    *(f"{d}.{f}" for d in ("flux", *MFCC[:4]) for f in ("mean", "sd")),
)  # fmt: skip
"""The smaller set, near eGeMAPS."""


def functionals(audio: Audio) -> tuple[Floats, Bits]:
    """The values of one turn `(F,)` in the order of `NAMES`, and which of them are valid `(F,)`: the others are 0, for want of voice
    or sound. Any rate from 16 kHz up is the same; never NaN, never raises. About .06 s for a turn of 4 s."""
    with np.errstate(all="ignore"):
        voice = contours(audio)
        spoken = speech_mask(voice.smooth_db) if voice else np.zeros(0, bool)
        if voice is None or spoken.sum() < MIN_FRAMES:
            return np.zeros(len(NAMES)), np.zeros(len(NAMES), bool)
        values = np.concatenate(_values(audio, voice, spoken))
    valid = np.isfinite(values)
    return np.where(valid, values, 0.0), valid


def _values(audio: Audio, voice: Contours, spoken: Bits) -> list[Floats]:
    samples = audio.resample(spectrum.RATE_HZ).samples.astype(np.float64)
    power = spectrum.powers(samples - samples.mean(), voice.times_s, spectrum.WINDOW, spectrum.N_FFT)
    mean_power = power[spoken].sum(1).mean() + 1e-30
    power = power / mean_power * spectrum.N_FFT / 2
    voiced = (voice.f0_hz > 0) & spoken
    level_db = 10 * np.log10(mean_power * 2 / spectrum.N_FFT)
    loudness = np.power(power @ spectrum.filters().T, 0.3).sum(1) / spectrum.N_BANDS  # as hearing compresses
    bands_db, form = spectrum.log_bands(power), spectrum.shape(power)
    long = spectrum.powers(samples, voice.times_s, spectrum.LONG, spectrum.LONG) / mean_power * spectrum.N_FFT
    of_voice = np.column_stack([
        12 * np.log2(np.where(voiced, voice.f0_hz, 100) / 100), voice.hnr_db,
        np.log(np.maximum(voice.formants_hz, 50)), np.log(np.maximum(voice.bandwidths_hz, 10)),
        spectrum.harmonic(long, voice.f0_hz, voice.formants_hz), form,
    ])  # fmt: skip
    of_speech = np.column_stack([loudness, spectrum.cepstra(bands_db), form, bands_db])
    found: list[Floats] = [
        _temporal(voice, spoken, voiced, loudness, float(level_db)),
        statistics(of_voice, voiced, N_COURSES_VOICED),
        statistics(of_speech, spoken, N_COURSES_SPOKEN),
    ]
    return found


def statistics(x: Floats, where: Bits, n_courses: int) -> Floats:
    """Of descriptors (T, D) over the frames `where` (T,): OF_EACH and OF_MOVES of all, OF_COURSES of the first `n_courses`, each
    block D long. NaN where there are too few frames."""
    if where.sum() < MIN_FRAMES:
        return np.full(int(x.shape[1]) * len((*OF_EACH, *OF_MOVES)) + n_courses * len(OF_COURSES), np.nan)
    edged = np.pad(where, 2)
    inside = np.all([edged[k : k + len(where)] for k in range(5)], axis=0)  # no slope reaches across an edge
    kept = x[where]
    moves = spectrum.deltas(x)[inside] / STEP_S if inside.any() else np.zeros((1, x.shape[1]))
    p05, p20, p50, p80, p95 = np.percentile(kept, [5, 20, 50, 80, 95], axis=0)
    up, down = moves > 0, moves < 0
    of_moves = [
        np.abs(moves).mean(0), moves.std(0),
        (moves * up).sum(0) / np.maximum(up.sum(0), 1), (moves * down).sum(0) / np.maximum(down.sum(0), 1),
    ]  # fmt: skip
    place = np.linspace(-1, 1, len(kept))
    bow = place**2 - np.mean(place**2)
    courses = [line @ kept[:, :n_courses] / (line @ line) for line in (place, bow)]
    return np.concatenate(
        [kept.mean(0), kept.std(0), p05, p20, p50, p80, p95, p80 - p20, *of_moves, *courses]
    )


def _temporal(voice: Contours, spoken: Bits, voiced: Bits, loudness: Floats, level_db: float) -> Floats:
    """In the order of TEMPORAL."""
    first, last = np.flatnonzero(spoken)[[0, -1]]
    span_s = (last - first + 1) * STEP_S
    peaks, _ = import_module("scipy.signal").find_peaks(loudness, prominence=0.1 * loudness[spoken].max())
    segments = runs(voiced) * STEP_S
    gaps = runs(~voiced[first : last + 1]) * STEP_S
    unknown = float("nan")
    return np.array([
        level_db, span_s, spoken.sum() * STEP_S / span_s, voiced.sum() * STEP_S / span_s, len(peaks) / span_s,
        len(segments) / span_s, *_mean_sd(segments), *_mean_sd(gaps),
        unknown if voice.jitter is None else voice.jitter, unknown if voice.shimmer is None else voice.shimmer,
    ])  # fmt: skip


def _mean_sd(lengths: Floats) -> tuple[float, float]:
    return (float(lengths.mean()), float(lengths.std())) if len(lengths) else (0.0, 0.0)


def runs(mask: Bits) -> Floats:
    """Lengths of the runs of True in `(T,)`, in frames."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False]))))
    return (edges[1::2] - edges[::2]).astype(np.float64)
