"""Audio: mono float32 samples and the rate they were taken at, never one without the other."""

from __future__ import annotations

import io
import logging
import struct
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

log = logging.getLogger(__name__)

RATE_MIN_HZ, RATE_MAX_HZ = 4_000, 192_000
CLIP_AMPLITUDE = 0.985  # a clipped sample is one of a run of three or more at this amplitude or above


class AudioError(ValueError):
    """The audio can't be used; the message says what is wrong and what is allowed."""


@dataclass(frozen=True, eq=False)
class Audio:
    """One channel of sound. `samples` has shape `(N,)`, float32, full scale at ±1; `rate_hz` is per second.

    Zero samples, silence and clipping are valid audio (they are *data*, masked later). Not valid, each an
    `AudioError`: more than one dimension, NaN or infinite samples, a rate outside 4–192 kHz.
    """

    samples: NDArray[np.float32]  # (N,)
    rate_hz: int

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples)
        if samples.ndim != 1:
            raise AudioError(
                f"samples have shape {samples.shape}; one channel of shape (N,) is needed. "
                "Average or choose a channel first, or use Audio.read, which averages."
            )
        if samples.dtype.kind != "f":
            raise AudioError(
                f"samples are {samples.dtype}; floats in −1…1 are needed. "
                "For 16-bit integers use Audio.from_pcm16."
            )
        samples = np.ascontiguousarray(samples, dtype=np.float32)
        bad = int(samples.size - np.count_nonzero(np.isfinite(samples)))
        if bad:
            first = int(np.flatnonzero(~np.isfinite(samples))[0])
            raise AudioError(
                f"{bad} of {samples.size} samples are NaN or infinite, the first at index {first}."
            )
        if not RATE_MIN_HZ <= self.rate_hz <= RATE_MAX_HZ or self.rate_hz != int(self.rate_hz):
            raise AudioError(
                f"rate_hz is {self.rate_hz}; whole numbers {RATE_MIN_HZ} to {RATE_MAX_HZ} are allowed."
            )
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "rate_hz", int(self.rate_hz))

    @classmethod
    def read(cls, source: str | PathLike[str] | BinaryIO) -> Audio:
        """Read any file libsndfile knows (wav, flac, ogg, mp3 …); channels are averaged.

        A file cut off in the middle is read as far as it goes, with a warning. Raises `AudioError` when the
        file is missing, is not audio, or holds no samples.
        """
        soundfile: Any = import_module("soundfile")  # 0.13 is untyped

        name = str(source) if isinstance(source, (str, PathLike)) else "the stream"
        if isinstance(source, (str, PathLike)) and not Path(source).is_file():
            raise AudioError(f"{name}: no such file.")
        try:
            frames, rate_hz = soundfile.read(source, dtype="float32", always_2d=True)  # (N, channels)
        except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
            raise AudioError(
                f"{name} is not readable as audio ({error}). Wav, flac, ogg or mp3 is needed."
            ) from error
        if not len(frames):
            raise AudioError(f"{name} holds no samples.")
        if isinstance(source, (str, PathLike)):
            _warn_if_cut(Path(source), len(frames), frames.shape[1])
        try:
            return cls(frames.mean(axis=1), rate_hz)
        except AudioError as error:
            raise AudioError(f"{name}: {error}") from None

    @classmethod
    def from_pcm16(cls, pcm: bytes | bytearray | ArrayLike, rate_hz: int) -> Audio:
        """From little-endian 16-bit samples, as sound cards and telephone lines give them."""
        if isinstance(pcm, (bytes, bytearray)):
            if len(pcm) % 2:
                raise AudioError(f"{len(pcm)} bytes is not a whole number of 16-bit samples.")
            integers = np.frombuffer(pcm, "<i2")
        else:
            integers = np.asarray(pcm)
            if integers.dtype != np.int16:
                raise AudioError(f"samples are {integers.dtype}; int16 is needed.")
        return cls(integers.astype(np.float32) / 32768.0, rate_hz)

    @classmethod
    def empty(cls, rate_hz: int) -> Audio:
        return cls(np.zeros(0, np.float32), rate_hz)

    def write(self, path: str | PathLike[str]) -> Path:
        """Write 16-bit PCM (the suffix chooses wav or flac); returns the path."""
        soundfile: Any = import_module("soundfile")  # 0.13 is untyped

        soundfile.write(str(path), self.samples, self.rate_hz, subtype="PCM_16")
        return Path(path)

    def wav(self) -> bytes:
        """The bytes of a 16-bit wav file."""
        soundfile: Any = import_module("soundfile")  # 0.13 is untyped

        buffer = io.BytesIO()
        soundfile.write(buffer, self.samples, self.rate_hz, format="WAV", subtype="PCM_16")
        return buffer.getvalue()

    def resample(self, rate_hz: int) -> Audio:
        """The same sound at another rate (soxr, high quality); itself when the rate is the same."""
        if rate_hz == self.rate_hz or not len(self.samples):
            return self if rate_hz == self.rate_hz else Audio.empty(rate_hz)
        import soxr

        return Audio(soxr.resample(self.samples, self.rate_hz, rate_hz), rate_hz)

    def part(self, start_s: float, end_s: float) -> Audio:
        """The stretch from `start_s` to `end_s`, cut to what there is."""
        first, last = (round(min(max(0.0, t), self.duration_s) * self.rate_hz) for t in (start_s, end_s))
        return Audio(self.samples[first:last], self.rate_hz)

    def gain(self, gain_db: float) -> Audio:
        return Audio(self.samples * np.float32(10 ** (gain_db / 20)), self.rate_hz)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz

    @property
    def level_db(self) -> float | None:
        """Root mean square, dB re full scale (a constant 1 is 0 dB); None for digital silence."""
        power = float(np.mean(np.square(self.samples, dtype=np.float64))) if len(self.samples) else 0.0
        return 10 * float(np.log10(power)) if power > 0 else None

    @property
    def clipped_ratio(self) -> float:
        """Share of samples in runs of at least three at full scale."""
        return clipped_count(self.samples) / len(self.samples) if len(self.samples) else 0.0


def clipped_count(samples: NDArray[np.float32]) -> int:
    """How many samples lie in runs of three or more at or above `CLIP_AMPLITUDE`. `samples` is `(N,)`."""
    loud = np.abs(samples) >= CLIP_AMPLITUDE
    if not loud.any():
        return 0
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.view(np.int8), [0]))))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= 3].sum())


def _warn_if_cut(path: Path, n_frames: int, n_channels: int) -> None:
    """libsndfile reads a truncated wav silently; its header's byte count betrays it."""
    with path.open("rb") as file:
        header = file.read(4096)
    at = header.find(b"data")
    if header[:4] != b"RIFF" or at < 0 or at + 8 > len(header):
        return
    claimed = struct.unpack("<I", header[at + 4 : at + 8])[0]
    present = path.stat().st_size - at - 8
    if 0xFFFF_0000 > claimed > present + 1:  # streams write 0xFFFFFFFF: length unknown
        kept = n_frames * n_channels
        log.warning("%s is cut off: %d of %d bytes are there, %d samples kept.", path, present, claimed, kept)
