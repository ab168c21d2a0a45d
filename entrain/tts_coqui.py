"""Coqui TTS: FastPitch and FastSpeech2 steered in pitch, range, rate and energy, other networks in rate."""

from __future__ import annotations

import importlib
import sys
import tempfile
import threading
import types
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from entrain.audio import Audio
from entrain.optional import require
from entrain.tts import Capability, Knobs, Rendition, Span, TTSError, speakable

INSTALL = "pip install 'entrain[coqui]'"
WEIGHTS = ("model.safetensors", "model_file.pth", "best_model.pth", "model.pth")
F0_FLOOR_HZ = 40.0
_LOCK = threading.Lock()  # hooks change the network, and Griffin-Lim and VITS draw from global generators


class Stats(NamedTuple):
    """How a training set's values were normalised: z = (value − mean) / std, over voiced frames. Coqui keeps
    both in its training cache, in pitch_stats.npy and energy_stats.npy, and not in the model."""

    mean: float
    std: float


class Coqui:
    """A voice of the maintained fork `coqui-tts`. `voice` is a folder with config.json and the weights
    (model.safetensors, model_file.pth, best_model.pth or model.pth; the same in a subfolder `vocoder` if
    there is one), or a model's name as in "tts_models/en/ljspeech/fast_pitch", which Coqui then downloads.

    FastPitch and FastSpeech2 predict each character's pitch (and energy), normalised: `f0_hz` is the mean and
    spread they were trained with, in hertz, `energy` the same of the energy. With it, forward hooks move the
    predictions; without it that knob is left for the waveform. `speaker` and `language` choose in a model
    that has several. A given `seed` makes renditions repeat, Griffin-Lim's and VITS's too.
    """

    def __init__(
        self,
        voice: str | PathLike[str] | None = None,
        f0_hz: tuple[float, float] | None = None,
        energy: tuple[float, float] | None = None,
        speaker: str | None = None,
        language: str | None = None,
        seed: int = 0,
    ) -> None:
        self.speaker, self.language, self.seed = speaker, language, seed
        if not voice:
            raise TTSError(
                "which Coqui voice? Give the folder of a model, or the name of one to download, as in "
                '"tts_models/en/ljspeech/fast_pitch".'
            )
        self._synthesizer = _load(voice)
        self.name = f"coqui:{voice}" if str(voice).startswith("tts_models/") else f"coqui:{Path(voice).name}"
        self.rate_hz = int(self._synthesizer.output_sample_rate)
        self._network: Any = self._synthesizer.tts_model
        args: Any = getattr(self._network, "args", None)
        self._is_forward = type(self._network).__name__ == "ForwardTTS"  # FastPitch, FastSpeech2 and kin
        self._f0 = Stats(*f0_hz) if f0_hz and getattr(args, "use_pitch", False) else None
        self._energy = Stats(*energy) if energy and getattr(args, "use_energy", False) else None
        # FastPitch rounds each duration to the nearest frame; VITS always up, so its rate comes out too near 1
        grade = "calibrated" if self._is_forward else "guidance"
        self.capability = Capability(
            pitch_st=Span(-4, 4, "calibrated") if self._f0 else None,
            range_x=Span(0.6, 1.5, "guidance") if self._f0 else None,
            rate_x=Span(0.7, 1.5, grade) if hasattr(self._network, "length_scale") else None,
            level_db=Span(-6, 6, "guidance") if self._energy else None,
        )

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        import torch

        applied = self.capability.clamp(knobs)
        spoken = speakable(text)
        if not spoken:
            return Rendition(Audio.empty(self.rate_hz), text, applied=applied)
        coqui = importlib.import_module("TTS.utils.synthesizer")
        try:
            with _LOCK, torch.inference_mode(), _seeded(self.seed), self._steered(applied):
                samples = self._synthesizer.tts(
                    spoken, speaker_name=self.speaker, language_name=self.language
                )
            # Coqui ends each sentence with .45 s of silence; the last is cut off
            audio = Audio(np.asarray(samples, np.float32)[: -coqui.PAD_SILENCE_SAMPLES], self.rate_hz)
        except Exception as error:  # torch's and Coqui's own kinds, and an unknown speaker
            raise TTSError(f"{self.name} could not say {text[:60]!r}: {error}") from error
        return Rendition(audio, text, applied=applied)

    @contextmanager
    def _steered(self, knobs: Knobs) -> Generator[None]:
        """The network with its predictions moved by `knobs`; as it was afterwards, whatever happens."""
        with ExitStack() as undo:
            if self._is_forward:
                repair = self._network.duration_predictor.register_forward_pre_hook(_with_batch_axis)
                undo.callback(repair.remove)
            if self._f0:
                move = _pitch_hook(self._f0, knobs.pitch_st, knobs.range_x)
                undo.callback(self._network.pitch_predictor.register_forward_hook(move).remove)
            if self._energy:
                move = _energy_hook(self._energy, knobs.level_db)
                undo.callback(self._network.energy_predictor.register_forward_hook(move).remove)
            if self.capability.rate_x:
                undo.callback(setattr, self._network, "length_scale", self._network.length_scale)
                self._network.length_scale = self._network.length_scale / knobs.rate_x
            yield


Hook = Callable[[Any, Any, Any], Any]


def _with_batch_axis(_: Any, inputs: Any) -> Any:
    """Coqui squeezes the encoding to (C, T) on its way in, and that of one character to (C,), which fails."""
    encoding, mask = inputs  # mask (1, 1, T)
    return encoding.reshape(1, -1, mask.shape[-1]), mask  # (1, C, T)


def _pitch_hook(f0: Stats, pitch_st: float, range_x: float) -> Hook:
    """Scales log pitch about its mean and shifts it. The predictor's output `z` is (B, 1, T)."""

    def move(_: Any, inputs: Any, z: Any) -> Any:
        mask = inputs[1]  # (B, 1, T)
        log_hz = (z * f0.std + f0.mean).clamp(min=F0_FLOOR_HZ).log()  # (B, 1, T)
        centre = (log_hz * mask).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True)  # (B, 1, 1)
        hz = (centre + (log_hz - centre) * range_x).exp() * 2 ** (pitch_st / 12)  # (B, 1, T)
        return (hz - f0.mean) / f0.std

    return move


def _energy_hook(energy: Stats, level_db: float) -> Hook:
    """Scales the energy, which is the norm of a frame's magnitudes: an amplitude. `z` is (B, 1, T)."""

    def move(_: Any, inputs: Any, z: Any) -> Any:
        amplitude = (z * energy.std + energy.mean).clamp(min=0)  # (B, 1, T)
        return (amplitude * 10 ** (level_db / 20) - energy.mean) / energy.std

    return move


@contextmanager
def _seeded(seed: int) -> Generator[None]:
    """Both global random generators seeded, and as they were afterwards."""
    torch = importlib.import_module("torch")
    before = np.random.get_state()  # noqa: NPY002 (Coqui's Griffin-Lim draws from this one)
    np.random.seed(seed)  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _load(voice: str | PathLike[str]) -> Any:
    """Coqui's Synthesizer of a folder or of a named model."""
    _import_torchaudio()
    synthesizer = require("TTS.utils.synthesizer", INSTALL, TTSError).Synthesizer
    named = str(voice).startswith("tts_models/")
    folder = Path(voice)
    if not named and not (folder / "config.json").is_file():
        raise TTSError(
            f"there is no {folder / 'config.json'}. Give a folder with it and {' or '.join(WEIGHTS)}, "
            'or the name of a model to download, as in "tts_models/en/ljspeech/fast_pitch".'
        )
    try:
        with ExitStack() as files:
            paths = _download(str(voice)) if named else _files(folder, files)
            return synthesizer(**paths)
    except TTSError:
        raise
    except (Exception, SystemExit) as error:  # Coqui leaves the process on a bad name
        way_out = (
            "Is the network there, and the name right?" if named else "Do config.json and the weights match?"
        )
        raise TTSError(f"the Coqui voice {str(voice)!r} can't be loaded ({error}). {way_out}") from error


def _download(name: str) -> dict[str, Any]:
    manager = require("TTS.utils.manage", INSTALL, TTSError).ModelManager()
    weights, config, item = manager.download_model(name)
    paths = {"tts_checkpoint": weights, "tts_config_path": config}
    if vocoder := item.get("default_vocoder"):
        weights, config, _ = manager.download_model(vocoder)
        paths |= {"vocoder_checkpoint": weights, "vocoder_config": config}
    return paths


def _files(folder: Path, files: ExitStack) -> dict[str, Any]:
    paths = {"tts_checkpoint": _weights(folder, files), "tts_config_path": folder / "config.json"}
    if (vocoder := folder / "vocoder").is_dir():
        paths |= {"vocoder_checkpoint": _weights(vocoder, files), "vocoder_config": vocoder / "config.json"}
    return paths


def _weights(folder: Path, files: ExitStack) -> Path:
    """The weights in `folder`; safetensors as a checkpoint of the form that Coqui reads, kept while `files`
    is open. Coqui's own are read by torch (2.4 on) with `weights_only`, so nothing in them is run."""
    found = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise TTSError(f"there are no weights in {folder}. One of {', '.join(WEIGHTS)} is needed.")
    if found.suffix != ".safetensors":
        return found
    import torch

    tensors = require("safetensors.torch", INSTALL, TTSError).load_file(found)
    checkpoint = Path(files.enter_context(tempfile.TemporaryDirectory(prefix="entrain-coqui-"))) / "model.pth"
    torch.save({"model": tensors}, checkpoint)
    return checkpoint


def _as_it_is(function: Hook) -> Hook:
    return function


def _import_torchaudio() -> None:
    """Coqui imports torchaudio. The wheel on PyPI is a CUDA build, whose compiled part can't be loaded beside
    a CPU torch (libc10_cuda.so is missing). Speech doesn't use that part: then, and only then, it's left out.
    """
    require("torch", INSTALL, TTSError)
    try:
        require("torchaudio", INSTALL, TTSError)
    except OSError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        absent: Any = types.ModuleType("torchaudio._extension")
        absent._IS_TORCHAUDIO_EXT_AVAILABLE = absent._IS_ALIGN_AVAILABLE = False
        absent._check_cuda_version = lambda: None
        absent.fail_if_no_align = _as_it_is
        sys.modules["torchaudio._extension"] = absent
        require("torchaudio", INSTALL, TTSError)
