"""Voice activity: sound at 16 kHz → the probability, frame by frame, that somebody speaks."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from entrain.asr import RATE_HZ
from entrain.network import EARS, open_network
from entrain.optional import bundled, require
from entrain.turn import Record

log = logging.getLogger(__name__)

Samples = NDArray[np.float32]  # (N,) at 16 kHz, full scale at ±1
Probabilities = NDArray[np.float32]  # (K,)


class VADError(RuntimeError):
    """The voice activity detector can't run; the message says what to install or to change."""


class VADStream(Protocol):
    """One microphone's detector: it remembers what it has heard."""

    step_s: float
    """Seconds that each probability stands for."""

    def feed(self, samples: Samples) -> Probabilities:
        """`samples` `(N,)` at 16 kHz, any N → `(K,)`: a probability for each frame that is now complete; the rest is kept."""
        ...

    def reset(self) -> None:
        """Forget everything: as if new."""
        ...


class VAD(Protocol):
    """A detector that any number of streams share."""

    @property
    def name(self) -> str: ...
    def stream(self) -> VADStream: ...


@dataclass
class Frames:
    """Cuts a stream into frames of `n` samples, however it arrives. NaN and infinite samples are silence, said once."""

    n: int
    rest: Samples = field(default_factory=lambda: np.zeros(0, np.float32))  # (< n,)
    warned: bool = False

    def feed(self, samples: Samples) -> NDArray[np.float32]:  # (K, n)
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise VADError(f"samples have shape {samples.shape}; one channel of shape (N,) is needed.")
        finite = np.isfinite(samples)
        if not finite.all():
            if not self.warned:
                log.warning("%d samples are NaN or infinite: taken as silence.", np.sum(~finite))
            self.warned, samples = True, np.where(finite, samples, np.float32(0))
        samples = np.concatenate((self.rest, samples))
        whole = len(samples) // self.n * self.n
        self.rest = samples[whole:].copy()
        return samples[:whole].reshape(-1, self.n)


# --- networks: Silero's, and our own --------------------------------------------------------------------------------


class NetworkConfig(Record):
    """What `config.json` says beside a `model.onnx`. That maps `samples` `(K, context + frame)`, K frames in order, and the
    states to a probability `(K,)` and the states afterwards, in this order and with these names."""

    name: str
    frame_samples: int = Field(gt=0)
    """At 16 kHz; a probability for each frame."""
    context_samples: int = Field(default=0, ge=0)
    """How much of the sound before each frame the network is shown again."""
    input: str = "samples"
    states: dict[str, tuple[int, ...]] = Field(default={})
    """Name of each recurrent state → its shape; all start at zero."""
    streams: bool = True
    """False where each probability rests on what comes after it too; such a network hears whole recordings only."""


class NetworkVAD:
    """A network and its config. Streams share the network, never the state."""

    def __init__(self, config: NetworkConfig, session: Any) -> None:
        self.name, self.config, self.session = config.name, config, session
        wanted, there = [config.input, *config.states], [node.name for node in session.get_inputs()]
        if sorted(wanted) != sorted(there) or len(session.get_outputs()) != len(wanted):
            raise VADError(
                f"the network {config.name!r} takes {', '.join(there)} and gives {len(session.get_outputs())} outputs; its "
                f"config.json says {', '.join(wanted)}, so {len(wanted)} outputs. Export the two together."
            )

    @classmethod
    def silero(cls) -> NetworkVAD:
        """Silero 6.2.3 (MIT), 32 ms frames. The file for whole sequences: the very same probabilities (0.0 apart), and half the
        time when frames come together."""
        path = bundled("silero_vad", "data/silero_vad_16k_sequence.onnx", EARS, VADError)
        memory = (1, 1, 128)
        config = NetworkConfig(name="silero", frame_samples=512, context_samples=64, input="input",
                               states={"h": memory, "c": memory})  # fmt: skip
        return cls(config, open_network(path, VADError))

    @classmethod
    def load(cls, folder: Path) -> NetworkVAD:
        try:
            config = NetworkConfig(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, ValidationError) as error:
            raise VADError(
                f"{folder} holds no trained detector ({error}). It needs config.json and model.onnx."
            ) from error
        return cls(config, open_network(folder / "model.onnx", VADError))

    def stream(self) -> NetworkStream:
        if not self.config.streams:
            raise VADError(
                f"the network {self.name!r} hears whole recordings only, since it looks ahead: it can't follow a live one. "
                "Use NetworkVAD.whole, or train one that streams: entrain train vad --network cdnn"
            )
        return NetworkStream(self)

    def whole(self, samples: Samples) -> Probabilities:
        """A recording `(N,)` at 16 kHz at once → `(K,)`, as a stream would give, and for networks that can't stream too. What is
        left after the last whole frame is not heard."""
        return NetworkStream(self).feed(samples)


class NetworkStream:
    def __init__(self, vad: NetworkVAD) -> None:
        self.vad, self.step_s = vad, vad.config.frame_samples / RATE_HZ
        self.reset()

    def reset(self) -> None:
        config = self.vad.config
        self.frames = Frames(config.frame_samples)
        self.context = np.zeros(config.context_samples, np.float32)
        self.states = {name: np.zeros(shape, np.float32) for name, shape in config.states.items()}

    def feed(self, samples: Samples) -> Probabilities:
        frames = self.frames.feed(samples)  # (K, n)
        if not len(frames):
            return np.zeros(0, np.float32)
        n, n_context = frames.shape[1], len(self.context)
        sound = np.concatenate((self.context, frames.ravel()))
        self.context = sound[len(sound) - n_context :].copy()
        shape, strides = (len(frames), n_context + n), (n * sound.itemsize, sound.itemsize)
        shown = np.ndarray(
            shape, np.float32, sound, strides=strides
        )  # numpy's own view takes 7 µs, a tenth of a chunk
        inputs = {self.vad.config.input: np.ascontiguousarray(shown), **self.states}
        probabilities, *states = self.vad.session.run(None, inputs)
        self.states = dict(zip(self.states, states, strict=True))
        return np.asarray(probabilities, np.float32).reshape(-1)


# --- without a network ----------------------------------------------------------------------------------------------


class WebRTCVAD:
    """WebRTC's Gaussian mixtures, 20 ms frames: 0 or 1. It takes much noise for speech. Mode 0 (lets all through) to 3 (strict)."""

    def __init__(self, mode: int = 2) -> None:
        self.name, self.mode = "webrtc", mode

    @cached_property
    def _detector(self) -> Any:
        return require("webrtcvad", EARS, VADError).Vad

    def new(self) -> Any:
        return self._detector(self.mode)

    def stream(self) -> WebRTCStream:
        return WebRTCStream(self)


class WebRTCStream:
    step_s = 0.02

    def __init__(self, vad: WebRTCVAD) -> None:
        self.vad = vad
        self.reset()

    def reset(self) -> None:
        self.frames, self.detector = Frames(round(self.step_s * RATE_HZ)), self.vad.new()

    def feed(self, samples: Samples) -> Probabilities:
        pcm = (np.clip(self.frames.feed(samples), -1, 1) * 32767).astype("<i2")  # (K, 320)
        return np.array([self.detector.is_speech(frame.tobytes(), RATE_HZ) for frame in pcm], np.float32)


RISE_DB_S = 3.0  # a fan that starts is noise after a few seconds; a sentence is over before that
MARGIN_DB, SPREAD_DB = 10.0, 2.0  # ½ at 10 dB above the floor: frames of steady noise scatter by 2 dB
QUIET_DB = -65.0  # quieter is no speech, whatever the floor: a digital silence has none


class EnergyVAD:
    """Level above a floor that follows the quietest sound at once downwards, and slowly upwards. No package, no speech knowledge."""

    name = "energy"

    def stream(self) -> EnergyStream:
        return EnergyStream()


class EnergyStream:
    step_s = 0.02

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.frames = Frames(round(self.step_s * RATE_HZ))
        self.floor_db: float | None = None  # unknown before the first frame

    def feed(self, samples: Samples) -> Probabilities:
        frames = self.frames.feed(samples)
        power = (
            np.var(frames, axis=1, dtype=np.float64) if len(frames) else np.zeros(0)
        )  # an offset is no sound
        return np.array([self._step(level_db) for level_db in 10 * np.log10(power + 1e-12)], np.float32)

    def _step(self, level_db: float) -> float:
        raised_db = level_db if self.floor_db is None else self.floor_db + RISE_DB_S * self.step_s
        self.floor_db = max(QUIET_DB - MARGIN_DB, min(level_db, raised_db))
        return float(1 / (1 + np.exp(-(level_db - self.floor_db - MARGIN_DB) / SPREAD_DB)))


VADS = {"silero": NetworkVAD.silero, "webrtc": WebRTCVAD, "energy": EnergyVAD}


def load_vad(name: str = "silero") -> VAD:
    """By name: "silero", "webrtc", "energy", or "net:FOLDER" of a network trained here."""
    kind, _, folder = name.partition(":")
    if kind == "net" and folder:
        return NetworkVAD.load(Path(folder))
    if name not in VADS:
        raise VADError(
            f"there is no voice activity detector {name!r}. Select one of {', '.join(VADS)}, net:FOLDER."
        )
    vad: VAD = VADS[name]()
    if isinstance(vad, WebRTCVAD):
        vad.new()  # a missing package is said now, not in the conversation
    return vad
