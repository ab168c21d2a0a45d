"""Realised against target: 20 sentences × 3 targets, two voices, three engines, beside the voice's own knobs open loop."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from entrain.audio import Audio
from entrain.conditioning import condition, measure, request, resolve
from entrain.prosody import extract
from entrain.targets import Targets
from entrain.tts import TTS, Knobs, Rendition, load_tts
from entrain.voice import VoiceProfile, sentences

TARGETS = ((2.0, 1.3, 1.15, 3.0), (-2.0, 0.75, 0.85, -3.0), (0.0, 1.0, 1.0, 0.0))  # st, range ×, rate ×, dB


@dataclass(frozen=True)
class Miss:
    """How far one reply fell from its aim."""

    f0_st: float
    """By Praat over the whole reply."""
    f0_as_user_st: float
    """By Praat in half-second blocks, as a user's turn is measured."""
    f0_second_st: float
    """The same by swift-f0: its own reading of the change from the default rendition, against the change aimed at."""
    rate: float
    level_db: float
    range_: float
    ms_per_3_s: float


def run(console: Console, quick: bool = False) -> list[dict[str, object]]:
    texts = sentences()[::2][: 4 if quick else 20]
    rows: list[dict[str, object]] = []
    for name in ("hibari", "espeak"):
        tts = load_tts(name)
        voice = VoiceProfile.of(tts)
        ways = ["knobs, open loop", "psola", "world", "signalsmith"] + (
            ["native + psola"] if name == "hibari" else []
        )
        for way in ways:
            steps = track(
                [(text, t) for text in texts for t in TARGETS],
                f"{name}, {way}",
                console=console,
                transient=True,
            )
            misses = [one(tts, voice, text, target, way) for text, target in steps]
            row: dict[str, object] = {"voice": tts.name, "way": way, "n": len(misses)}
            for field in Miss.__dataclass_fields__:
                values = np.array([getattr(miss, field) for miss in misses], float)
                row |= {field: float(np.nanmean(values)), f"{field}_p95": float(np.nanquantile(values, 0.95))}
            rows.append(row)
    table = Table("voice", "way", "pitch st: mean (p95)",
        "as a user's", "by swift-f0", "rate %", "level dB", "range %", "ms per 3 s",
                  title=f"Realised against target, {len(texts)} sentences × {len(TARGETS)} targets each")  # fmt: skip
    for r in rows:
        cells = [f"{r[k] * s:{f}} ({r[k + '_p95'] * s:{f}})" for k, s, f in
                 (("f0_st", 1, ".3f"), ("f0_as_user_st", 1, ".3f"),
                ("f0_second_st", 1, ".3f"), ("rate", 100, ".2f"), ("level_db", 1, ".3f"),
                  ("range_", 100, ".1f"))]  # fmt: skip
        table.add_row(str(r["voice"]), str(r["way"]), *cells, f"{r['ms_per_3_s']:.0f}")
    console.print(table)
    return rows


def one(tts: TTS, voice: VoiceProfile, text: str, target: tuple[float, ...], way: str) -> Miss:
    """One sentence to one target, anchored at the voice's mean: the harder case, its sentences differ too."""
    f0_st, range_x, rate_x, level_db = target
    targets = Targets.shifted(voice, f0_st, range_x, rate_x, level_db, anchor="voice")
    rendition = default = tts.synthesise(text)
    usual, _ = measure(default)
    goal = resolve(targets, usual)
    started = time.perf_counter()
    if way == "knobs, open loop":
        knobs = Knobs(f0_st, range_x, rate_x, level_db)
        audio = tts.synthesise(text, knobs).audio
        ms = (time.perf_counter() - started) * 1e3
        after, _ = measure(Rendition(audio, text))
        rate = after.rate_syll_s
    else:
        if way == "native + psola":
            ask, _ = request(goal, usual)
            rendition = tts.synthesise(text, Knobs(pitch_st=ask.f0_st, range_x=ask.range_x))
        done = condition(rendition, targets, way.split()[-1], usual if "native" in way else None)
        ms = (time.perf_counter() - started) * 1e3
        audio = done.audio
        after, _ = measure(Rendition(audio, text))
        stretch = audio.duration_s / default.audio.duration_s
        rate = usual.n_syllables / (usual.speech_s * stretch)  # by source times
    change = swift_st(audio) - swift_st(default.audio)
    return Miss(
        f0_st=abs(after.f0_mean_st - goal["f0_mean_st"]),
        f0_as_user_st=abs(extract(audio, text).f0_mean_st - goal["f0_mean_st"]),
        f0_second_st=abs(change - (goal["f0_mean_st"] - usual.f0_mean_st)),
        rate=abs(rate / goal["rate_syll_s"] - 1),
        level_db=abs(after.level_db - goal["level_db"]) if after.level_db is not None else np.nan,
        range_=abs(after.f0_range_st / goal["f0_range_st"] - 1),
        ms_per_3_s=ms / audio.duration_s * 3,
    )


_swift = None


def swift_st(audio: Audio) -> float:
    """Mean pitch, st re 100 Hz, by a neural tracker that shares nothing with Praat."""
    global _swift
    from swift_f0 import SwiftF0

    _swift = _swift or SwiftF0()
    found = _swift.detect(audio.resample(16_000).samples, 16_000)
    sure = np.asarray(found.confidence) >= 0.8
    hz = np.asarray(found.pitch_hz)[sure & (np.asarray(found.pitch_hz) > 0)]
    return float(np.mean(12 * np.log2(hz / 100))) if len(hz) else float("nan")
