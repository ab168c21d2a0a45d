"""Whatever is judged, in one form: our networks, the detectors of entrain, and ten-vad where it is installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.asr import RATE_HZ
from entrain.vad import VAD, Frames, NetworkVAD, Probabilities, VADError, load_vad
from entrain_training.augment import Samples
from entrain_training.run import read
from entrain_training.vad.meetings import Meeting

CHUNK_S = 0.02
N_PASSES = 5
TEN_HOP = 256


class TenVAD:
    """TEN VAD (Agora): 16 ms frames. Its licence forbids products that compete with theirs, so it is a rival here and nothing else."""

    name = "ten-vad"

    def stream(self) -> TenStream:
        return TenStream()


class TenStream:
    step_s = TEN_HOP / RATE_HZ

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        try:
            ten: Any = import_module("ten_vad")
            self.frames, self.network = Frames(TEN_HOP), ten.TenVad(TEN_HOP)
        except (ImportError, OSError) as error:  # its library needs libc++
            raise VADError(f"ten-vad can't run ({error}): pip install ten-vad") from error

    def feed(self, samples: Samples) -> Probabilities:
        pcm = (np.clip(self.frames.feed(samples), -1, 1) * 32767).astype(np.int16)  # (K, 256)
        return np.array([self.network.process(frame)[0] for frame in pcm], np.float32)


@dataclass
class Listener:
    """A detector under a name; or several, where each was trained without some of the recordings."""

    name: str
    vads: Sequence[VAD]
    step_s: float
    of: Mapping[str, int]
    """Recording → which of `vads` never heard it. Others take turns."""
    parameters: int | None = None
    streams: bool = True

    def hear(self, recording: str, samples: Samples, turn: int = 0) -> Probabilities:
        """Its score every 10 ms: `(T,)`, as far as its frames go."""
        vad = self.vads[self.of.get(recording, turn % len(self.vads))]
        scores = vad.whole(samples) if isinstance(vad, NetworkVAD) else vad.stream().feed(samples)
        return every_10_ms(scores, self.step_s)

    def real_time_factor(self, samples: Samples) -> float | None:
        """Seconds for each second of sound that comes in 20 ms chunks, on one thread, without the machine's other work: each chunk's
        fastest of five passes. None where it can't stream."""
        if not self.streams:
            return None
        fastest = np.min([chunks_s(self.vads[0], samples) for _ in range(N_PASSES)], axis=0)
        return float(fastest.mean() / CHUNK_S)


def every_10_ms(scores: Probabilities, step_s: float) -> Probabilities:
    return np.repeat(scores, round(step_s * 1000))[::10]


def chunks_s(vad: VAD, samples: Samples) -> NDArray[np.float64]:
    """Seconds for each chunk of 20 ms, as a microphone gives them."""
    stream, n, passed = vad.stream(), round(CHUNK_S * RATE_HZ), []
    for start in range(0, len(samples) - n + 1, n):
        started = time.perf_counter()
        stream.feed(samples[start : start + n])
        passed.append(time.perf_counter() - started)
    return np.array(passed)


def ours(name: str, runs: Sequence[Path], of: Mapping[str, int] | None = None) -> Listener:
    """Networks trained here. Raises `VADError` where a folder holds none."""
    vads = [NetworkVAD.load(run) for run in runs]
    config = vads[0].config
    return Listener(
        name, vads, config.frame_samples / RATE_HZ, of or {}, weights(runs[0] / "model.safetensors"), config.streams
    )  # fmt: skip


def weights(path: Path) -> int | None:
    """Values that were learnt: all in the file but what batch normalisation counted."""
    if not path.exists():
        return None
    from safetensors import safe_open

    counted = ("running_mean", "running_var", "num_batches_tracked")
    with safe_open(path, "numpy") as file:
        return sum(
            int(np.prod(file.get_slice(name).get_shape()))
            for name in file.keys()  # noqa: SIM118
            if name.rpartition(".")[2] not in counted
        )


def rivals() -> tuple[list[Listener], list[str]]:
    """Those that can run here, and why the others can't."""
    makers: dict[str, Callable[[], VAD]] = {
        "silero": lambda: load_vad("silero"), "ten-vad": TenVAD, "webrtc": lambda: load_vad("webrtc"),
        "energy": lambda: load_vad("energy"),
    }  # fmt: skip
    found, left_out = [], []
    for name, make in makers.items():
        try:
            vad = make()
            found.append(Listener(name, [vad], vad.stream().step_s, {}))
        except VADError as error:
            left_out.append(f"{name}: {error}")
    return found, left_out


def unheard(meetings: Sequence[Meeting], runs: Sequence[Path]) -> tuple[list[Meeting], list[str]]:
    """The meetings in which nobody speaks whom one of the runs learnt from, and why the others are no test."""
    learnt: dict[str, str] = {}
    for run in runs:
        if (run / "settings.json").exists():
            names = read(run / "settings.json")["about"].get("meeting_names", [])
            learnt |= {who: run.name for m in meetings if m.name in names for who in m.speakers}
    kept = [m for m in meetings if not m.speakers & learnt.keys()]
    lost = [m.name for m in meetings if m.speakers & learnt.keys()]
    whose = ", ".join(sorted(set(learnt.values())))
    return kept, [f"{', '.join(lost)}: {whose} learnt from people in them"] if lost else []
