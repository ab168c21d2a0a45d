"""Turn audio → Features, by Praat (Boersma & Weenink) through Parselmouth.

The turn is analysed in blocks of half a second as it arrives, so that at its end only the last block is left, and
a whole recording goes through the very same blocks: streaming equals whole, to the bit, however it was cut up.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from importlib import import_module  # of parts without types: what they give is Any
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio, clipped_count
from entrain.syllables import count_syllables
from entrain.turn import FEATURES, Features, Word

Floats = NDArray[np.float64]

ANALYSIS_RATE_HZ = 16_000  # faster microphones are brought to this: a meter must not depend on the device
BLOCK_S = 0.5
MARGIN_S = 0.1  # context either side of a block: Praat's 50 ms window, and ten frames for its path finder
STEP_S = 0.01
FLOOR_HZ, CEILING_HZ = 60.0, 700.0  # of the first pass
SILENCE = 0.03  # Praat's silence threshold, re the loudest sample so far (Praat's own is re the whole sound)
DIGITAL_SILENCE_DB = -300.0  # Praat's intensity of nothing
DB_RE_FULL_SCALE = 10 * np.log10(4e-10)  # Praat's 0 dB is 2e-5 Pa; ours is an amplitude of 1: −93.98

MIN_INTENSITY_S = 0.064  # 6.4 / 100 Hz, Praat's shortest sound for an intensity
MIN_JITTER_S = 0.0853  # Praat's shortest sound for a voice report
MIN_VOICED_S = 0.1  # less voice than that, a breath or a click, says nothing of a turn's pitch
MIN_PAUSE_S = 0.2
MIN_SOUND_S = 0.1  # de Jong & Wempe's minimum sounding interval
SPEECH_DROP_DB = 25.0  # de Jong & Wempe 2009: speech is within 25 dB of the 99th percentile of intensity …
LOUD_DB = 40.0  # … of what is this near the loudest, so that a silence before or after a turn changes nothing
DIP_DB = 2.0  # … and two syllables are parted by a dip of 2 dB
NUCLEI_FOUND = 0.8
"""Nuclei per syllable in human speech (170 sentences of EMODB's 10 speakers: .80, sd .12): estimated rates are put on the
scale of counted ones, or a speaker whose words are sometimes known would seem to slow down when they are not."""
MAX_CLIPPED = 0.001


@dataclass(frozen=True)
class Blocks:
    """What the blocks of one turn gave; arrays over frames of `STEP_S`, `(T,)`."""

    first_hz: Floats  # first pass, voiced frames only (V1,)
    f0_hz: Floats  # second pass, 0 where unvoiced (T,)
    strength: Floats  # autocorrelation at the period (T,)
    power: Floats  # energy per frame re full scale, window of 64 ms, as in `To Intensity 100` (T,)
    smooth_db: Floats  # intensity for syllables, window of 128 ms, as in `To Intensity 50` (T,)
    jitter: Floats  # one value a block, weighted by … (B,)
    shimmer: Floats  # (B,)
    n_periods: Floats  # … its number of periods (B,)


class Extractor:
    """Measures one turn while it is spoken: `feed` as audio comes, `finish` at its end.

    Pitch is tracked twice: between 60 and 700 Hz, then between ¾ of the first quartile and 1½ times the third of
    what the turn gave so far (Hirst 2011, "The analysis by synthesis of speech melody"), which kills octave errors.
    """

    def __init__(self, rate_hz: int, block_s: float = BLOCK_S, voice_quality: bool = True) -> None:
        """`block_s` may be infinite where all the audio is there at once; without `voice_quality` jitter and
        shimmer are left out, a fifth of the time."""
        self.rate_hz, self.block_s, self.voice_quality = rate_hz, block_s, voice_quality
        self._pending: NDArray[np.float32] = np.zeros(0, np.float32)  # from the open block's left margin on
        self._n_left = 0  # samples of `_pending` that are margin
        self.n_samples = 0
        self._n_clipped = 0
        self._peak = 0.0
        self._first_hz: Floats = np.zeros(0)
        self._frames: list[Floats] = []  # one (4, T) a block: f0_hz, strength, power, smooth_db
        self._quality: list[tuple[float, float, float]] = []  # jitter, shimmer, n_periods

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Add `(N,)` samples at `rate_hz`; analyses every block that is now complete with its margin."""
        self.n_samples += len(samples)
        self._pending = np.concatenate([self._pending, samples])
        if self.block_s == np.inf:
            return
        n_block, n_margin = self._count(self.block_s), self._count(MARGIN_S)
        while len(self._pending) >= self._n_left + n_block + n_margin:
            self._analyse(self._pending[: self._n_left + n_block + n_margin], n_block)
            start_of_next = self._n_left + n_block
            kept = min(start_of_next, n_margin)
            self._pending = self._pending[start_of_next - kept :]
            self._n_left = kept

    def finish(self, text: str = "", words: Iterable[Word] = (), speech_s: float | None = None) -> Features:
        """The turn's features. `text` (or `words`) gives the syllables, word times the pauses, where there are any;
        `speech_s` overrides both (an agent's synthesiser knows)."""
        n_rest = len(self._pending) - self._n_left
        if n_rest:
            self._analyse(self._pending, n_rest)
            self._pending, self._n_left = np.zeros(0, np.float32), 0
        return summarise(
            self._blocks(), self.n_samples, self._n_clipped, self.rate_hz, text, tuple(words), speech_s
        )

    def so_far(self) -> Features:
        """What `finish` would give, had the turn ended here, without its words. It may go on all the same."""
        twin = copy(self)  # its arrays are replaced as it goes on, never changed; its lists grow
        twin._frames, twin._quality = list(self._frames), list(self._quality)
        return twin.finish()

    @property
    def limits_hz(self) -> tuple[float, float]:
        """Floor and ceiling of the speaker's pitch, as far as heard."""
        return pitch_limits(self._first_hz)

    def _count(self, seconds: float) -> int:
        return round(seconds * self.rate_hz)

    def _blocks(self) -> Blocks:
        frames = np.concatenate(self._frames, axis=1) if self._frames else np.zeros((4, 0))
        quality = np.array(self._quality).reshape(-1, 3)
        return Blocks(self._first_hz, *frames, *quality.T)

    def _analyse(self, samples: NDArray[np.float32], n_block: int) -> None:
        """One block: `samples` is left margin + `n_block` + right margin (shorter at the turn's ends)."""
        block = samples[self._n_left : self._n_left + n_block]
        self._n_clipped += clipped_count(block)
        if samples.max() == samples.min():  # digital silence: nothing to measure, but a pause
            n_frames = round(n_block / self.rate_hz / STEP_S)
            self._frames.append(np.outer([0.0, 0.0, 0.0, DIGITAL_SILENCE_DB], np.ones(n_frames)))
            return
        centred = samples - samples.mean(dtype=np.float64)  # a microphone's DC offset is no loudness
        audio = Audio(centred, self.rate_hz)
        if self.rate_hz > ANALYSIS_RATE_HZ:
            audio = audio.resample(ANALYSIS_RATE_HZ)
        signal = audio.samples.astype(np.float64)
        if len(signal) < MIN_INTENSITY_S * audio.rate_hz * 1.01:
            return  # a turn too short to measure
        start_s = self._n_left / self.rate_hz
        end_s = start_s + n_block / self.rate_hz
        loudest = float(np.abs(signal).max())
        self._peak = max(self._peak, loudest)
        sound = _sound(signal, audio.rate_hz)
        silence = min(1.0, SILENCE * self._peak / loudest)

        first = _pitch(sound, FLOOR_HZ, CEILING_HZ, silence)
        times, hz, _ = _frames(first)
        inside = (times >= start_s) & (times < end_s)
        self._first_hz = np.concatenate([self._first_hz, hz[inside & (hz > 0)]])
        floor_hz, ceiling_hz = self.limits_hz
        second = _pitch(sound, floor_hz, ceiling_hz, silence)
        times, hz, strength = _frames(second)
        inside = (times >= start_s) & (times < end_s)
        power = 10 ** ((_intensity(sound, 100.0, times) + DB_RE_FULL_SCALE) / 10)
        smooth_db = _intensity(sound, 50.0, times) + DB_RE_FULL_SCALE
        self._frames.append(np.stack([hz, strength, power, smooth_db])[:, inside])
        if self.voice_quality and len(signal) >= MIN_JITTER_S * audio.rate_hz and hz[inside].any():
            self._quality.append(_voice_quality(sound, second, start_s, end_s))


Profile = Literal["entrain-1", "praat-75-600"]


def extract(
    audio: Audio, text: str = "", words: Iterable[Word] = (), profile: Profile = "entrain-1"
) -> Features:
    """The features of one turn. Empty, silent, unvoiced, too short or clipped audio gives None where nothing can
    be measured, with the reason in `Features.missing`; it never raises for such audio and never gives NaN."""
    if profile == "praat-75-600":
        return extract_praat_75_600(audio, text, words)
    extractor = Extractor(audio.rate_hz)
    extractor.feed(audio.samples)
    return extractor.finish(text, words)


@dataclass(frozen=True)
class Contours:
    """One turn's voice, frame by frame; every array over frames of `STEP_S`, `(T,)` or `(T, 3)`."""

    times_s: Floats  # (T,), middles
    f0_hz: Floats  # (T,), 0 where unvoiced
    hnr_db: Floats  # (T,), harmonics to noise by the autocorrelation at the period
    smooth_db: Floats  # (T,), as in `To Intensity 50`, dB re full scale
    formants_hz: Floats  # (T, 3), 0 where unknown or unvoiced
    bandwidths_hz: Floats  # (T, 3)
    jitter: float | None
    shimmer: float | None


def contours(audio: Audio) -> Contours | None:
    """Pitch, noise, loudness and formants of a whole turn; None where it is too short for Praat's windows, or digital silence."""
    signal = audio.resample(ANALYSIS_RATE_HZ).samples.astype(np.float64)
    if len(signal) < 2 * MIN_JITTER_S * ANALYSIS_RATE_HZ or signal.max() == signal.min():
        return None
    sound = _sound(signal - signal.mean(), ANALYSIS_RATE_HZ)
    first = _frames(_pitch(sound, FLOOR_HZ, CEILING_HZ, SILENCE))[1]
    floor_hz, ceiling_hz = pitch_limits(first[first > 0])
    second = _pitch(sound, floor_hz, ceiling_hz, SILENCE)
    times, hz, strength = _frames(second)
    r = np.clip(strength, 1e-4, 1 - 1e-6)
    jitter, shimmer, n_periods = _voice_quality(sound, second, 0.0, sound.duration)
    known = n_periods > 0 and np.isfinite(jitter) and np.isfinite(shimmer)
    return Contours(
        times, hz, 10 * np.log10(r / (1 - r)), _intensity(sound, 50.0, times) + DB_RE_FULL_SCALE,
        *_formants(sound, times, hz > 0), jitter if known else None, shimmer if known else None,
    )  # fmt: skip


def pitch_limits(first_hz: Floats) -> tuple[float, float]:
    """Floor and ceiling of the second pass from the voiced frames of the first, `(V,)` in Hz."""
    if len(first_hz) < 20:  # .2 s of voice: too little for quartiles
        return FLOOR_HZ, CEILING_HZ
    q25, q75 = np.quantile(first_hz, [0.25, 0.75])
    return max(FLOOR_HZ, 0.75 * float(q25)), min(CEILING_HZ, 1.5 * float(q75))


def summarise_f0(f0_hz: Floats) -> tuple[float | None, float | None]:
    """Mean and 5–95 % range in semitones re 100 Hz of voiced frames; None with less than .1 s of voice."""
    semitones = 12 * np.log2(f0_hz[f0_hz > 0] / 100)
    if len(semitones) * STEP_S < MIN_VOICED_S:
        return None, None
    q05, q95 = np.quantile(semitones, [0.05, 0.95])
    return float(semitones.mean()), float(q95 - q05)


def summarise(
    blocks: Blocks, n_samples: int, n_clipped: int, rate_hz: int,
    text: str, words: tuple[Word, ...], speech_s: float | None,
) -> Features:  # fmt: skip
    """From frames to the turn's seven values and their context."""
    duration_s = n_samples / rate_hz
    clipped_ratio = n_clipped / n_samples if n_samples else 0.0
    f0_hz = _without_outliers(blocks)
    voiced = f0_hz > 0
    active = speech_mask(blocks.smooth_db)
    if speech_s is None:
        speech_s = speech_seconds(words) or float(active.sum() * STEP_S)
    n_syllables, rate_source = count_syllables(text or " ".join(w.text for w in words)), "words"
    if not n_syllables:
        n_syllables, rate_source = (
            round(count_nuclei(blocks.smooth_db, voiced, active) / NUCLEI_FOUND),
            "nuclei",
        )
    values: dict[str, float | None] = dict(
        zip(("f0_mean_st", "f0_range_st"), summarise_f0(f0_hz), strict=True)
    )
    if voiced.sum() * STEP_S >= MIN_VOICED_S:
        values["level_db"] = 10 * float(np.log10(blocks.power[voiced].mean()))
        values["nhr"] = _nhr(f0_hz, blocks.strength)
    for name, of_blocks in (("jitter", blocks.jitter), ("shimmer", blocks.shimmer)):
        known = np.isfinite(of_blocks) & (blocks.n_periods > 0)
        if known.any():
            values[name] = float(np.average(of_blocks[known], weights=blocks.n_periods[known]))
    if speech_s >= MIN_SOUND_S and n_syllables and (voiced.any() or rate_source == "words"):
        values["rate_syll_s"] = n_syllables / speech_s
    return mask_doubtful(
        values, duration_s=duration_s, speech_s=speech_s, voiced_s=float(voiced.sum() * STEP_S),
        clipped_ratio=clipped_ratio, n_syllables=n_syllables, rate_source=rate_source,
    )  # fmt: skip


def with_text(features: Features, text: str, words: Iterable[Word] = ()) -> Features:
    """The same turn once its words are known: only the rate changes, from estimated to counted."""
    words = tuple(words)
    n_syllables = count_syllables(text or " ".join(w.text for w in words))
    speech_s = speech_seconds(words) or features.speech_s
    if not n_syllables or speech_s < MIN_SOUND_S:
        return features
    missing = {name: why for name, why in features.missing.items() if name != "rate_syll_s"}
    update = {"rate_syll_s": n_syllables / speech_s, "n_syllables": n_syllables, "rate_source": "words"}
    return features.model_copy(update=update | {"speech_s": speech_s, "missing": missing})


def mask_doubtful(values: dict[str, float | None], profile: str = "entrain-1", **context: Any) -> Features:
    """Give each value that is missing or can't be trusted its reason; clipped sound keeps pitch, jitter and rate only."""
    missing: dict[str, str] = {}
    clipped = context["clipped_ratio"] > MAX_CLIPPED
    too_short = {"level_db": MIN_INTENSITY_S, "jitter": MIN_JITTER_S, "shimmer": MIN_JITTER_S}
    for name in FEATURES:
        value = values.get(name)
        if value is not None and not np.isfinite(value):
            value = None
        if clipped and name in ("level_db", "shimmer", "nhr"):
            value, missing[name] = None, "clipped"
        elif value is None:
            short = context["duration_s"] < too_short.get(name, MIN_VOICED_S)
            missing[name] = "too short" if short else "no speech" if name == "rate_syll_s" else "unvoiced"
        values[name] = value
    if values["rate_syll_s"] is None:
        context["rate_source"] = "none"
    return Features(**values, missing=missing, profile=profile, **context)


def speech_seconds(words: tuple[Word, ...]) -> float:
    """Seconds of speech from word times, gaps under .2 s bridged; 0 unless every word carries its times."""
    spans = sorted((w.start_s, w.end_s) for w in words if w.start_s is not None and w.end_s is not None)
    if len(spans) < len(words):
        return 0.0
    total_s, reach_s = 0.0, -np.inf
    for start_s, end_s in spans:
        from_s = reach_s if start_s - reach_s < MIN_PAUSE_S else start_s
        total_s += max(0.0, end_s - from_s)
        reach_s = max(reach_s, end_s)
    return float(total_s)


def speech_mask(smooth_db: Floats) -> NDArray[np.bool_]:
    """Which frames `(T,)` are speech: within 25 dB of the loudest, pauses under .2 s filled, blips under .1 s dropped."""
    if not len(smooth_db):
        return np.zeros(0, bool)
    loud_db = np.quantile(smooth_db[smooth_db >= smooth_db.max() - LOUD_DB], 0.99)
    active = smooth_db > max(loud_db - SPEECH_DROP_DB, DIGITAL_SILENCE_DB)
    active = _fill(active, False, MIN_PAUSE_S, inner_only=True)
    return _fill(active, True, MIN_SOUND_S, inner_only=False)


def count_nuclei(smooth_db: Floats, voiced: NDArray[np.bool_], active: NDArray[np.bool_]) -> int:
    """Syllable nuclei: voiced intensity peaks parted by dips of 2 dB (de Jong & Wempe 2009, Behav. Res. Methods 41)."""
    find_peaks = import_module("scipy.signal").find_peaks

    if len(smooth_db) < 3:
        return 0
    unequal = smooth_db + 1e-9 * np.arange(len(smooth_db))  # of equal peaks with no dip between, one counts
    # Silence around it: a turn cut close to its first vowel begins with a peak.
    peaks, _ = find_peaks(np.pad(unequal, 1, constant_values=DIGITAL_SILENCE_DB), prominence=DIP_DB)
    return int(np.count_nonzero((voiced & active)[peaks - 1]))


def _without_outliers(blocks: Blocks) -> Floats:
    """Second-pass F0 with what lies outside the whole turn's limits unvoiced: early blocks knew only themselves."""
    floor_hz, ceiling_hz = pitch_limits(blocks.first_hz)
    kept = (blocks.f0_hz >= floor_hz) & (blocks.f0_hz <= ceiling_hz)
    if len(blocks.smooth_db):  # and what is far below the turn's loudest: noise before the first word
        kept &= blocks.smooth_db > blocks.smooth_db.max() - 20 * np.log10(1 / SILENCE)
    return np.where(kept, blocks.f0_hz, 0.0)


def _fill(mask: NDArray[np.bool_], value: bool, shorter_than_s: float, inner_only: bool) -> NDArray[np.bool_]:
    """Flip runs of `value` shorter than the given time (at the ends too, unless `inner_only`)."""
    flipped = mask.copy()
    edges = np.flatnonzero(np.diff(np.concatenate(([not value], mask, [not value])) == value))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        at_end = start == 0 or end == len(mask)
        if (end - start) * STEP_S < shorter_than_s - 1e-9 and not (inner_only and at_end):
            flipped[start:end] = not value
    return flipped


# --- Praat ------------------------------------------------------------------------------------------------------


def _sound(signal: Floats, rate_hz: int) -> Any:
    return import_module("parselmouth").Sound(signal, sampling_frequency=rate_hz)


def _pitch(sound: Any, floor_hz: float, ceiling_hz: float, silence: float) -> Any:
    """`To Pitch (ac)` with Praat's standard costs, every `STEP_S`."""
    return sound.to_pitch_ac(
        time_step=STEP_S, pitch_floor=floor_hz, max_number_of_candidates=15, very_accurate=False,
        silence_threshold=silence, voicing_threshold=0.45, octave_cost=0.01, octave_jump_cost=0.35,
        voiced_unvoiced_cost=0.14, pitch_ceiling=ceiling_hz,
    )  # fmt: skip


def _frames(pitch: Any) -> tuple[Floats, Floats, Floats]:
    """Times in s, F0 in Hz (0 unvoiced), strength; each `(T,)`."""
    selected = pitch.selected_array
    return pitch.xs(), selected["frequency"].astype(float), selected["strength"].astype(float)


def _formants(sound: Any, times: Floats, voiced: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Middles and bandwidths in Hz of the first three formants by Burg's method, five below 5.5 kHz; each `(T, 3)`, 0 where unknown."""
    formant = sound.to_formant_burg(time_step=STEP_S, max_number_of_formants=5, maximum_formant=5500.0)
    found = np.zeros((2, len(times), 3))
    for t in np.flatnonzero(voiced):
        for i in range(3):
            found[0, t, i] = formant.get_value_at_time(i + 1, times[t])
            found[1, t, i] = formant.get_bandwidth_at_time(i + 1, times[t])
    found = np.nan_to_num(found)
    return found[0], found[1]


def _intensity(sound: Any, floor_hz: float, times: Floats) -> Floats:
    """`To Intensity floor 0 no` in dB, read off at `times` `(T,)`; its window is 6.4 / floor seconds."""
    shortest_s = 6.4 / floor_hz
    if sound.duration <= shortest_s:
        floor_hz = 6.41 / sound.duration
    intensity = sound.to_intensity(minimum_pitch=floor_hz, subtract_mean=False)
    level_db: Floats = np.maximum(intensity.values[0], DIGITAL_SILENCE_DB)
    return np.interp(times, intensity.xs(), level_db)


def _voice_quality(sound: Any, pitch: Any, start_s: float, end_s: float) -> tuple[float, float, float]:
    """Local jitter and shimmer between two times, and over how many periods."""
    call = import_module("parselmouth.praat").call
    pulses = call([sound, pitch], "To PointProcess (cc)")
    limits = (start_s, end_s, 0.0001, 0.02, 1.3)
    jitter = call(pulses, "Get jitter (local)", *limits)
    shimmer = call([sound, pulses], "Get shimmer (local)", *limits, 1.6)
    return jitter, shimmer, float(call(pulses, "Get number of periods", *limits))


def extract_praat_75_600(audio: Audio, text: str = "", words: Iterable[Word] = ()) -> Features:
    """The field's canonical script, to its digits: pitch 75–600 Hz, octave errors and all, at the audio's own rate.

    Jitter and shimmer are those of the voiced intervals joined, with the pulses of `Pitch: To PointProcess`.
    `level_db` is the voiced-only intensity. For repeating published tables; otherwise use the default profile.
    """
    canonical = praat_75_600(audio)
    ours = extract(audio, text, words)
    mean_hz, log_range = canonical["f0_mean_hz"], canonical["log10_f0_range"]
    values = {
        "f0_mean_st": None if mean_hz is None else 12 * float(np.log2(mean_hz / 100)),
        "f0_range_st": None if log_range is None else 12 * log_range / float(np.log10(2)),
        "level_db": None if canonical["voiced_db"] is None else canonical["voiced_db"] + DB_RE_FULL_SCALE,
        "rate_syll_s": ours.rate_syll_s,
    } | {name: canonical[name] for name in ("jitter", "shimmer", "nhr")}
    context = ours.model_dump(
        include={"duration_s", "speech_s", "clipped_ratio", "n_syllables", "rate_source"}
    )
    return mask_doubtful(values, profile="praat-75-600", voiced_s=canonical["voiced_s"] or 0.0, **context)


def praat_75_600(audio: Audio) -> dict[str, float | None]:
    """The canonical script's own figures, in its own units; None where Praat has none."""
    call = import_module("parselmouth.praat").call
    found: dict[str, float | None] = dict.fromkeys(
        ("f0_mean_hz", "f0_min_hz", "f0_max_hz", "f0_q05_hz", "f0_q95_hz", "log10_f0_mean", "log10_f0_range",
         "intensity_db", "voiced_db", "jitter", "shimmer", "nhr", "nhr_voiced", "voiced_s")
    )  # fmt: skip
    try:
        sound = _sound(audio.samples.astype(np.float64), audio.rate_hz)
        found["intensity_db"] = call(call(sound, "To Intensity", 100, 0, "no"), "Get mean", 0, 0, "energy")
        pitch = call(sound, "To Pitch", 0, 75, 600)
        hz = pitch.selected_array["frequency"]
        if not hz.any():
            return found
        q05, q95 = (call(pitch, "Get quantile", 0, 0, q, "Hertz") for q in (0.05, 0.95))
        log10_hz = np.log10(hz[hz > 0])
        log10_quantiles = np.quantile(log10_hz, [0.95, 0.05], method="hazen")  # as Praat's, but of logarithms
        mean_hz = float(call(pitch, "Get mean", 0, 0, "Hertz"))
        found |= {
            "f0_mean_hz": mean_hz,
            "f0_min_hz": call(pitch, "Get minimum", 0, 0, "Hertz", "Parabolic"),
            "f0_max_hz": call(pitch, "Get maximum", 0, 0, "Hertz", "Parabolic"),
            "f0_q05_hz": q05, "f0_q95_hz": q95,
            "log10_f0_mean": float(log10_hz.mean()), "log10_f0_range": float(np.subtract(*log10_quantiles)),
            "nhr": _nhr(hz, pitch.selected_array["strength"]),
        }  # fmt: skip
        pulses = call([sound, pitch], "To PointProcess (cc)")
        grid = call(pulses, "To TextGrid (vuv)", 0.02, 1 / mean_hz)
        parts = call([sound, grid], "Extract intervals where", 1, "no", "is equal to", "V")
        voiced = call(parts, "Concatenate") if isinstance(parts, list) else parts
        found["voiced_s"] = voiced.duration
        found["voiced_db"] = call(call(voiced, "To Intensity", 100, 0, "no"), "Get mean", 0, 0, "energy")
        voiced_pitch = call(voiced, "To Pitch", 0, 75, 600)
        found["nhr_voiced"] = _nhr(*(voiced_pitch.selected_array[k] for k in ("frequency", "strength")))
        pulses = call(voiced_pitch, "To PointProcess")
        found["jitter"] = call(pulses, "Get jitter (local)", 0, 0, 0.0001, 0.02, 1.3)
        found["shimmer"] = call([voiced, pulses], "Get shimmer (local)", 0, 0, 0.0001, 0.02, 1.3, 1.6)
    except import_module(
        "parselmouth"
    ).PraatError:  # too short for one of its windows: what was found before stands
        pass
    return {
        name: value if value is not None and np.isfinite(value) else None for name, value in found.items()
    }


def _nhr(hz: Floats, strength: Floats) -> float | None:
    voiced = np.clip(strength[hz > 0], 1e-15, 1 - 1e-15)  # Praat's own limits
    return float(np.mean((1 - voiced) / voiced)) if len(voiced) else None
