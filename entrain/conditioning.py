"""Audio + Targets → Audio: the rendition is measured, moved once on the waveform, levelled last, and measured again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.optional import require
from entrain.prosody import Extractor
from entrain.targets import Targets
from entrain.tts import Rendition
from entrain.turn import Features, Finite, Record

DEAD_F0_ST, DEAD_RATE, DEAD_RANGE = 0.25, 0.02, 0.10  # nobody hears less; every engine costs some quality
MAX_F0_ST, MIN_DURATION, MAX_DURATION = 4.0, 0.74, 1.34  # beyond this the engines sound made
MAX_LEVEL_DB = 20.0  # beyond this a slip, such as hertz for decibels, would silence or square the speech
MIN_RANGE, MAX_RANGE = 0.5, 1.8
RANGE_MISS = 0.15  # when the range is off by more, one second pass with the request corrected
F0_MISS_ST = 0.05  # likewise for pitch: 40 ms in every second reply take the mean miss from .065 to .041 st
CEILING_DB = -0.3  # the limiter's, dB re full scale
LOOK_AHEAD_S = 0.005
WORLD_MIN_HZ = 16_000  # D4C tells voiced from unvoiced by its sound up to 7.9 kHz; without it, all is noise


class ConditioningError(RuntimeError):
    """The waveform engine is unknown or not installed."""


@dataclass(frozen=True)
class Ask:
    """What an engine is asked for, relative to what it is given."""

    f0_st: float = 0.0
    range_x: float = 1.0
    duration_x: float = 1.0


@dataclass(frozen=True)
class Voicing:
    """Where a rendition's pitch lies: the centre its range is scaled about, and the limits to track it within."""

    centre_hz: float
    floor_hz: float
    ceiling_hz: float


class Realised(Record):
    """Aim and outcome of one reply, both measured on its own audio by the user's own meter. None: not measurable."""

    aim_f0_mean_st: Finite | None = None
    aim_f0_range_st: Finite | None = None
    aim_rate_syll_s: Finite | None = None
    aim_level_db: Finite | None = None
    f0_mean_st: Finite | None = None
    f0_range_st: Finite | None = None
    rate_syll_s: Finite | None = None
    level_db: Finite | None = None
    engine: str = "none"
    not_realised: tuple[str, ...] = ()
    """What the engine or a limit could not give, for the report."""


@dataclass(frozen=True)
class Conditioned:
    """The reply's audio, what it was before and is now by the user's own meter, and the aims."""

    audio: Audio
    before: Features
    after: Features
    realised: Realised


def condition(
    rendition: Rendition, targets: Targets, engine: str = "psola", usual: Features | None = None
) -> Conditioned:
    """Make a rendition have the targets. Neutral targets give the very same samples back.

    `usual`: how the voice says this text when left alone, where the rendition has already been moved by native knobs.
    `engine`: "psola" (Praat, keeps formants; the default), "world" (pyworld, keeps formants), "signalsmith" (fast, moves formants,
    no range). Runs Praat: call it in the worker process. Raises `ConditioningError` for an engine that is not there.
    """
    move = load_engine(engine)
    before, voicing = measure(rendition, usual.speech_s if usual else None)  # native pitch keeps the timing
    if targets.neutral or before.f0_mean_st is None:
        reason = () if targets.neutral else ("nothing voiced to condition",)
        return Conditioned(rendition.audio, before, before, outcome(before, targets, before, "none", reason))
    goal = resolve(targets, usual or before)
    ask, not_realised = request(goal, before)
    if engine == "signalsmith":
        if abs(ask.range_x - 1) > DEAD_RANGE:
            not_realised = (*not_realised, "pitch range: signalsmith has none")
        ask = replace(ask, range_x=1.0)
    audio, after, used = rendition.audio, before, "none"
    if worth_it(ask):
        used, audio = engine, move(rendition.audio, ask, voicing)
        after = remeasure(audio, rendition, before)
        corrected = correct(ask, before, after)
        if corrected != ask:
            second = move(rendition.audio, corrected, voicing)
            of_second = remeasure(second, rendition, before)
            if distance(ask, before, of_second) < distance(ask, before, after):
                audio, after = second, of_second
        not_realised = (*not_realised, *missed(ask, before, after))
    if before.level_db is None:
        audio, beyond = limit(audio), ("level: unknown, since the rendition is clipped",)
    else:
        audio, after, beyond = set_level(audio, after, before.level_db, goal["level_db"])
    return Conditioned(
        audio, before, after, outcome(usual or before, targets, after, used, (*not_realised, *beyond))
    )


def measure(rendition: Rendition, speech_s: float | None = None) -> tuple[Features, Voicing]:
    """What a voice made of a text, and what the engines need to know of its pitch. `speech_s`: where it is known."""
    extractor = Extractor(rendition.audio.rate_hz, block_s=math.inf)
    extractor.feed(rendition.audio.samples)
    features = extractor.finish(rendition.text, rendition.words, speech_s)
    return features, Voicing(100 * 2 ** ((features.f0_mean_st or 0.0) / 12), *extractor.limits_hz)


def remeasure(audio: Audio, rendition: Rendition, before: Features) -> Features:
    """After an engine: its speech time is the source's times the change of length, never a threshold's opinion (engines
    shift the level, a weak tail drops out, and "rate" would move by 4 %)."""
    speech_s = before.speech_s * audio.duration_s / rendition.audio.duration_s
    return meter(audio, rendition.text, speech_s)


def meter(
    audio: Audio, text: str = "", speech_s: float | None = None, voice_quality: bool = True
) -> Features:
    """The user's meter on what an engine made. Its floats may pass ±1, which is not clipped yet: so it is measured
    with headroom, and the level put right."""
    peak = float(np.abs(audio.samples).max(initial=0.0))
    headroom_db = max(0.0, 20 * math.log10(peak) - CEILING_DB) if peak else 0.0
    extractor = Extractor(audio.rate_hz, block_s=math.inf, voice_quality=voice_quality)
    extractor.feed(audio.gain(-headroom_db).samples)
    features = extractor.finish(text, speech_s=speech_s)
    if features.level_db is None:
        return features
    return features.model_copy(update={"level_db": features.level_db + headroom_db})


def resolve(targets: Targets, before: Features) -> dict[str, float]:
    """The four aims for this sentence: from how the voice says it, `weight` of the way to the target."""

    def blend(have: float | None, shifted: float, absolute: float, weight: float) -> float:
        if have is None:
            return absolute
        return have + weight * ((shifted if targets.anchor == "sentence" else absolute) - have)

    t, b = targets, before
    return {
        "f0_mean_st": blend(b.f0_mean_st, (b.f0_mean_st or 0) + t.f0_shift_st, t.f0_mean_st, t.weight_f0),
        "f0_range_st": blend(
            b.f0_range_st, (b.f0_range_st or 0) * t.f0_range_factor, t.f0_range_st, t.weight_range
        ),
        "rate_syll_s": blend(
            b.rate_syll_s, (b.rate_syll_s or 0) * t.rate_factor, t.rate_syll_s, t.weight_rate
        ),
        "level_db": blend(b.level_db, (b.level_db or 0) + t.level_shift_db, t.level_db, t.weight_level),
    }


def request(goal: dict[str, float], before: Features) -> tuple[Ask, tuple[str, ...]]:
    """What to ask of the engine, and what lies beyond it."""
    ask = Ask(
        f0_st=goal["f0_mean_st"] - (before.f0_mean_st or goal["f0_mean_st"]),
        range_x=goal["f0_range_st"] / before.f0_range_st if before.f0_range_st else 1.0,
        duration_x=before.rate_syll_s / max(goal["rate_syll_s"], 1e-6) if before.rate_syll_s else 1.0,
    )
    allowed = within_limits(ask)
    beyond = [
        f"{what}: asked {asked:.2f}, given {given:.2f}"
        for what, asked, given in (
            ("pitch, st", ask.f0_st, allowed.f0_st),
            ("pitch range, factor", ask.range_x, allowed.range_x),
            ("duration, factor", ask.duration_x, allowed.duration_x),
        )
        if not math.isclose(asked, given, abs_tol=1e-9)
    ]
    return allowed, tuple(beyond)


def within_limits(ask: Ask) -> Ask:
    return Ask(
        min(max(ask.f0_st, -MAX_F0_ST), MAX_F0_ST),
        min(max(ask.range_x, MIN_RANGE), MAX_RANGE),
        min(max(ask.duration_x, MIN_DURATION), MAX_DURATION),
    )


def worth_it(ask: Ask) -> bool:
    return (
        abs(ask.f0_st) > DEAD_F0_ST or abs(ask.duration_x - 1) > DEAD_RATE or abs(ask.range_x - 1) > DEAD_RANGE
    )  # fmt: skip


def correct(ask: Ask, before: Features, after: Features) -> Ask:
    """The same request, put right by what it missed by; unchanged where it was near enough. For a pass from the
    rendition again, never from what is already processed."""
    off_st, off_range = misses(ask, before, after)
    f0_st = ask.f0_st - off_st if abs(off_st) > F0_MISS_ST else ask.f0_st
    range_x = ask.range_x / off_range if ask.range_x != 1 and abs(off_range - 1) > RANGE_MISS else ask.range_x
    return within_limits(Ask(f0_st, range_x, ask.duration_x))


def missed(ask: Ask, before: Features, after: Features) -> tuple[str, ...]:
    """What a listener would hear the engine to have missed, in words."""
    off_st, off_range = misses(ask, before, after)
    pitch = (f"pitch: {off_st:+.2f} st off",) if abs(off_st) > DEAD_F0_ST else ()
    spread = (f"pitch range: {off_range:.2f} of what was asked",) if abs(off_range - 1) > RANGE_MISS else ()
    return pitch + spread


def misses(ask: Ask, before: Features, after: Features) -> tuple[float, float]:
    """By how many semitones, and by what factor of range, the engine missed its request; 0 and 1 where not measurable."""
    off_st, off_range = 0.0, 1.0
    if before.f0_mean_st is not None and after.f0_mean_st is not None:
        off_st = after.f0_mean_st - (before.f0_mean_st + ask.f0_st)
    if before.f0_range_st and after.f0_range_st:
        off_range = after.f0_range_st / (before.f0_range_st * ask.range_x)
    return off_st, off_range


def distance(ask: Ask, before: Features, after: Features) -> float:
    """One figure for both misses, each in units of what is worth a second pass."""
    off_st, off_range = misses(ask, before, after)
    return abs(off_st) / F0_MISS_ST + abs(math.log(off_range)) / RANGE_MISS


def set_level(
    audio: Audio, now: Features, usual_db: float, level_db: float
) -> tuple[Audio, Features, tuple[str, ...]]:
    """Gain from what it is `now` to the aim, at most `MAX_LEVEL_DB` from what the voice made of it, with a limiter for the
    peaks; a second time if the first time the limiter took something. Also tells what could not be given."""
    allowed_db = min(max(level_db, usual_db - MAX_LEVEL_DB), usual_db + MAX_LEVEL_DB)
    for _ in range(2):
        if now.level_db is None or abs(allowed_db - now.level_db) < 0.01:
            break
        louder = audio.gain(allowed_db - now.level_db)
        audio = limit(louder)
        measured_db = allowed_db if audio is louder else meter(audio, voice_quality=False).level_db
        now = now.model_copy(update={"level_db": measured_db})
    off_db = 0.0 if now.level_db is None else now.level_db - level_db
    return (
        audio,
        now,
        (f"level: {off_db:+.1f} dB off, by the limiter or the cap",) if abs(off_db) > 0.1 else (),
    )


def limit(audio: Audio) -> Audio:
    """Peaks over the ceiling are turned down by a gain that falls 5 ms ahead; audio without any is returned as it is."""
    ndimage = import_module("scipy.ndimage")
    ceiling = 10 ** (CEILING_DB / 20)
    size = np.abs(audio.samples)
    if not len(size) or size.max() <= ceiling:
        return audio
    n = max(3, round(LOOK_AHEAD_S * audio.rate_hz) | 1)
    needed = np.minimum(1.0, ceiling / np.maximum(size, 1e-9))  # (N,)
    # The mean of minima is below every one it spans.
    gain = ndimage.uniform_filter1d(ndimage.minimum_filter1d(needed, 2 * n - 1), n)
    return Audio((audio.samples * gain).astype(np.float32), audio.rate_hz)


def outcome(
    before: Features, targets: Targets, after: Features, engine: str, not_realised: tuple[str, ...] = ()
) -> Realised:
    aims = resolve(targets, before) if before.f0_mean_st is not None else {}
    return Realised(
        **{f"aim_{name}": value for name, value in aims.items() if getattr(before, name) is not None},
        f0_mean_st=after.f0_mean_st, f0_range_st=after.f0_range_st,
        rate_syll_s=after.rate_syll_s, level_db=after.level_db,
        engine=engine, not_realised=not_realised,
    )  # fmt: skip


# --- Engines -------------------------------------------------------------------------------------------------------

Engine = Callable[[Audio, Ask, Voicing], Audio]


def psola(audio: Audio, ask: Ask, voicing: Voicing) -> Audio:
    """Pitch-synchronous overlap-add, by Praat's Manipulation (Moulines & Charpentier 1990)."""
    praat = import_module("parselmouth.praat")
    call = praat.call
    # Unvoiced sound is laid at random by Praat: with a seed, at the same places every time.
    praat.run("random_initializeWithSeedUnsafelyButPredictably(1)")
    sound = import_module("parselmouth").Sound(
        audio.samples.astype(np.float64), sampling_frequency=audio.rate_hz
    )
    manipulation = call(sound, "To Manipulation", 0.01, voicing.floor_hz, voicing.ceiling_hz)
    tier = call(manipulation, "Extract pitch tier")
    if call(tier, "Get number of points"):
        centre_hz, moved_hz = float(voicing.centre_hz), float(voicing.centre_hz * 2 ** (ask.f0_st / 12))
        call(tier, "Formula", f"{moved_hz} * (self / {centre_hz}) ^ {float(ask.range_x)}")
        call([tier, manipulation], "Replace pitch tier")
    if ask.duration_x != 1:
        durations = call("Create DurationTier", "uniform", 0, sound.duration)
        call(durations, "Add point", 0, float(ask.duration_x))
        call([durations, manipulation], "Replace duration tier")
    moved = call(manipulation, "Get resynthesis (overlap-add)")
    return Audio(moved.values[0].astype(np.float32), audio.rate_hz)


def world(audio: Audio, ask: Ask, voicing: Voicing) -> Audio:
    """WORLD (Morise 2016): DIO with StoneMask, CheapTrick, D4C; keeps formants, best for large upward shifts."""
    # setuptools: pyworld imports pkg_resources, which 81 took out
    pyworld = require("pyworld", "pip install 'entrain[world]'; or use engine 'psola'", ConditioningError)
    if audio.rate_hz < WORLD_MIN_HZ:
        made = world(audio.resample(WORLD_MIN_HZ), ask, voicing).resample(audio.rate_hz)
        return _of_length(made.samples, audio, ask)
    samples = audio.samples.astype(np.float64)
    rough_hz, times = pyworld.dio(
        samples, audio.rate_hz, f0_floor=voicing.floor_hz, f0_ceil=voicing.ceiling_hz
    )
    f0_hz: NDArray[np.float64] = pyworld.stonemask(samples, rough_hz, times, audio.rate_hz)
    envelope = pyworld.cheaptrick(samples, f0_hz, times, audio.rate_hz)
    aperiodicity = pyworld.d4c(samples, f0_hz, times, audio.rate_hz)
    voiced = f0_hz > 0
    f0_hz[voiced] = (
        voicing.centre_hz * 2 ** (ask.f0_st / 12) * (f0_hz[voiced] / voicing.centre_hz) ** ask.range_x
    )
    made = pyworld.synthesize(f0_hz, envelope, aperiodicity, audio.rate_hz, frame_period=5.0 * ask.duration_x)
    return _of_length(made, audio, ask)


def signalsmith(audio: Audio, ask: Ask, voicing: Voicing) -> Audio:
    """Signalsmith Stretch: ten times as fast as the others; moves formants with the pitch, and knows no range."""
    stretch = require(
        "python_stretch", "pip install 'entrain[signalsmith]'; or use engine 'psola'", ConditioningError
    ).Signalsmith.Stretch()
    stretch.preset(1, audio.rate_hz)
    stretch.setTransposeSemitones(ask.f0_st)
    stretch.timeFactor = 1 / ask.duration_x
    return _of_length(stretch.process(audio.samples[np.newaxis])[0], audio, ask)


def _of_length(samples: NDArray[Any], audio: Audio, ask: Ask) -> Audio:
    """Exactly the length asked for: engines that work in frames overshoot by up to one."""
    n = round(len(audio.samples) * ask.duration_x)
    samples = np.asarray(samples[:n], np.float32)
    return Audio(np.pad(samples, (0, n - len(samples))), audio.rate_hz)


ENGINES: dict[str, Engine] = {"psola": psola, "world": world, "signalsmith": signalsmith}


def load_engine(name: str) -> Engine:
    if name not in ENGINES:
        raise ConditioningError(f"there is no waveform engine {name!r}. Select one of {', '.join(ENGINES)}.")
    return ENGINES[name]
