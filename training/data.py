"""Turn tables → conversations as arrays → batches from one speaker's side."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from entrain.model import MEL_BANDS, Batch, Whose, context_of, emotion_of, shape_of
from entrain.turn import FEATURES
from entrain.words import Words
from entrain_training.columns import TableError
from entrain_training.table import conversations, read_table

Array = NDArray[np.float32]
S = TypeVar("S")  # a Side, alone or with something else

SIMULATED = "simulated"
"""What the name of a corpus begins with, and the reason in `missing`, where the simulator made the values."""
COLUMNS = [
    "corpus",
    "conv",
    "group",
    "speaker",
    "text",
    "start_s",
    "duration_s",
    "pause_ratio",
    "latency_s",
    "overlap",
    "missing",
]
COLUMNS += [prefix + name for prefix in ("", "z_", "target_") for name in FEATURES]


@dataclass(frozen=True)
class Dialogue:
    """One conversation of T turns. Words and Mel vectors of all turns lie one after the other."""

    corpus: str
    id: str
    group: str
    names: tuple[str, ...]  # the speakers
    speaker: NDArray[np.int64]  # (T,) places in `names`
    z: Array  # (T, 7) 0 where not valid
    valid: NDArray[np.bool_]  # (T, 7)
    target: Array  # (T, 7) z by what was known of the speaker before the turn
    context: Array  # (T, 4)
    emotion: Array  # (T, E) as `entrain.model.emotion_of`
    shape: Array  # (T, 3)
    rows: NDArray[np.int32]  # (W,) of the word table
    forms: Array  # (W, 2)
    n_words: NDArray[np.int64]  # (T,)
    mel: NDArray[np.float16]  # (M, 160)
    n_mel: NDArray[np.int64]  # (T,)
    texts: tuple[str, ...]
    start_s: NDArray[np.float64]  # (T,)
    simulated: frozenset[str] = frozenset()  # features that bear the simulator's mark

    def __len__(self) -> int:
        return len(self.speaker)

    def sides(self) -> list[int]:
        """The speakers who can be *us*: those with a turn that has something to predict."""
        return sorted(set(self.speaker[self.valid.any(1)].tolist()))


@dataclass(frozen=True)
class Side:
    """A stretch of a conversation from one speaker's side."""

    dialogue: Dialogue
    us: int
    start: int = 0
    stop: int | None = None

    def __len__(self) -> int:
        return len(self.dialogue.speaker[self.start : self.stop])


def read_dialogues(
    paths: Sequence[str | Path], words: Words, normalise: Literal["causal", "conversation"] = "causal",
    mel: bool = False, emotion: Sequence[str] = (),
) -> list[Dialogue]:  # fmt: skip
    """The conversations of prepared tables (`entrain prepare`), in the tables' order. `emotion`: the labels to be read,
    unknown where a table has no emotions. Raises `TableError` for damaged tables, those that have no value at all, and a conversation
    that two of them have."""
    found: list[Dialogue] = []
    for path in paths:
        table, before = read_table(path, mel), len(found)
        if mel and "mel" not in table.column_names:
            raise TableError(f"{path} has no Mel-spectrograms; make it with `entrain prepare --mel`.")
        emotions = ["emotion"] if emotion and "emotion" in table.column_names else []
        table = table.select([*COLUMNS, *emotions, *(["mel"] if mel else [])])
        for start, stop in conversations(table):
            rows = table.slice(start, stop - start).to_pydict()
            found.append(_dialogue(rows, words, normalise, mel, emotion))
        if not any(d.valid.any() for d in found[before:]):
            raise TableError(
                f"{path} has no value of any feature: nothing can be learnt. Its column `missing` says why."
            )
    twice = [name for name, n in Counter((d.corpus, d.id) for d in found).items() if n > 1]
    if twice:
        raise TableError(
            f"{' '.join(twice[0])} is in two of {', '.join(map(str, paths))}. Give each conversation once."
        )
    return found


def _dialogue(
    rows: dict[str, list[Any]], words: Words, normalise: str, mel: bool, emotion: Sequence[str]
) -> Dialogue:
    names = tuple(dict.fromkeys(rows["speaker"]))
    speaker = np.array([names.index(name) for name in rows["speaker"]])
    z, valid = _values(rows, "z_")
    target, aimed = _values(rows, "target_")
    if (valid != aimed).any():
        at = f"{rows['corpus'][0]}, {rows['conv'][0]}, turn {int((valid != aimed).any(1).argmax())}"
        raise TableError(
            f"{at} has a z-score without a target, or the reverse. Make the table again with: entrain prepare"
        )
    if normalise == "conversation":
        z = target = whole_conversation(*_values(rows, ""), speaker)
    text = [words.find(text) for text in rows["text"]]
    heard = [np.frombuffer(m or b"", "<f2").reshape(-1, MEL_BANDS) for m in rows["mel"]] if mel else []
    pauses = [ratio or 0.0 for ratio in rows["pause_ratio"]]
    of_turn = zip(rows["duration_s"], pauses, rows["latency_s"], rows["overlap"], strict=True)
    return Dialogue(
        corpus=rows["corpus"][0], id=rows["conv"][0], group=rows["group"][0] or "", names=names, speaker=speaker,
        z=z, valid=valid, target=target,
        context=np.array([context_of(*turn) for turn in of_turn], np.float32),
        emotion=_emotions(rows.get("emotion") or [None] * len(text), emotion),
        shape=np.array([shape_of(text) for text in rows["text"]], np.float32),
        rows=np.concatenate([r for r, _ in text]), forms=np.concatenate([f for _, f in text]),
        n_words=np.array([len(r) for r, _ in text]),
        mel=np.concatenate(heard) if mel else np.zeros((0, MEL_BANDS), np.float16),
        n_mel=np.array([len(m) for m in heard]) if mel else np.zeros(len(text), np.int64),
        texts=tuple(rows["text"]), start_s=np.array(rows["start_s"]), simulated=_simulated(rows),
    )  # fmt: skip


def _values(rows: dict[str, list[Any]], prefix: str) -> tuple[Array, NDArray[np.bool_]]:
    """The seven columns of a prefix: values (T, 7), 0 where missing, and validity (T, 7)."""
    columns = [rows[prefix + name] for name in FEATURES]
    valid = np.array([[v is not None for v in column] for column in columns]).T
    return np.array([[v or 0.0 for v in column] for column in columns], np.float32).T.copy(), valid


def _emotions(cells: Sequence[list[tuple[str, float]] | None], labels: Sequence[str]) -> Array:
    """Of each turn, as `emotion_of` has it: (T, E)."""
    rows = [emotion_of(dict(cell or []), labels) for cell in cells]
    return np.array(rows, np.float32).reshape(len(rows), -1)


def emotions_in(paths: Sequence[str | Path]) -> list[str]:
    """The labels of the emotions that prepared tables have, sorted. Raises `TableError` where none has any."""
    tables = [read_table(path, mel=False) for path in paths]
    cells = [
        cell for table in tables if "emotion" in table.column_names for cell in table["emotion"].to_pylist()
    ]
    labels = sorted({label for cell in cells for label, _ in cell or []})
    if not labels:
        raise TableError(
            f"none of {', '.join(map(str, paths))} tells a turn's emotion. Make them with: entrain prepare --emotion MODEL"
        )
    return labels


def _simulated(rows: dict[str, list[Any]]) -> frozenset[str]:
    if rows["corpus"][0].startswith(SIMULATED):
        return frozenset(FEATURES)
    told = [json.loads(cell) for cell in set(rows["missing"])]
    return frozenset(name for why in told for name in why if why[name].startswith(SIMULATED))


def whole_conversation(x: Array, valid: NDArray[np.bool_], speaker: NDArray[np.int64]) -> Array:
    """z-scores of each speaker over the whole conversation, as published tables have them: they know the future. (T, 7) → (T, 7);
    0 where a speaker has under two values or no spread."""
    z = np.zeros_like(x)
    for who in set(speaker.tolist()):
        for i in range(x.shape[1]):
            mine = (speaker == who) & valid[:, i]
            sd = x[mine, i].std(ddof=1) if mine.sum() > 1 else 0.0
            if sd > 1e-6 * max(1.0, float(np.abs(x[mine, i]).max(initial=0.0))):
                z[mine, i] = (x[mine, i] - x[mine, i].mean()) / sd
    return z


def collate(sides: Sequence[Side], words: Words) -> Batch:
    """Sides → a batch, padded at the ends; words and Mel vectors packed."""
    cut = [(s.dialogue, s.us, slice(s.start, s.stop)) for s in sides]
    n_turns = max(map(len, sides))

    def pad(name: str, fill: float = 0) -> torch.Tensor:
        arrays = [getattr(d, name)[part] for d, _, part in cut]
        out = np.full((len(arrays), n_turns, *arrays[0].shape[1:]), fill, arrays[0].dtype)
        for row, array in zip(out, arrays, strict=True):
            row[: len(array)] = array
        return torch.from_numpy(out)

    speaker, us = pad("speaker", -1), torch.tensor([us for _, us, _ in cut])
    rows = np.concatenate([_spoken(d.rows, d.n_words, part) for d, _, part in cut])
    forms = np.concatenate([_spoken(d.forms, d.n_words, part) for d, _, part in cut])
    mel = np.concatenate([_spoken(d.mel, d.n_mel, part) for d, _, part in cut]).astype(np.float32)
    return Batch(
        z=pad("z"), valid=pad("valid"), target=pad("target"), us=speaker == us[:, None], real=speaker >= 0,
        context=pad("context"), emotion=pad("emotion"), shape=pad("shape"), words=torch.from_numpy(words.look_up(rows, forms)),
        n_words=pad("n_words"), mel=torch.from_numpy(mel), n_mel=pad("n_mel"),
    )  # fmt: skip


def _spoken(flat: NDArray[Any], lengths: NDArray[np.int64], part: slice) -> NDArray[Any]:
    """The elements that belong to the turns of `part`."""
    edges = np.concatenate(([0], np.cumsum(lengths)))
    start, stop, _ = part.indices(len(lengths))
    return flat[edges[start] : edges[stop]]


def all_sides(dialogues: Sequence[Dialogue]) -> list[Side]:
    """Every conversation from the side of everyone in it, whole."""
    return [Side(dialogue, us) for dialogue in dialogues for us in dialogue.sides()]


def epoch(
    dialogues: Sequence[Dialogue], window: int, rng: np.random.Generator, on: Whose = "us"
) -> Iterator[Side]:
    """Every conversation once, from the side of a speaker drawn by their turns, in windows of at most `window` turns whose edges
    fall elsewhere each time; in random order. Windows without a turn to predict (`on`) are left out."""
    sides: list[Side] = []
    for dialogue in dialogues:
        measured = dialogue.valid.any(1)
        if not measured.any():
            continue
        us, first = int(rng.choice(dialogue.speaker[measured])), int(rng.integers(min(window, len(dialogue))))
        chosen = measured if on == "both" else measured & (dialogue.speaker == us)
        edges = [0, *range(first, len(dialogue), window), len(dialogue)]
        sides += [Side(dialogue, us, a, b) for a, b in itertools.pairwise(edges) if chosen[a:b].any()]
    for i in rng.permutation(len(sides)):
        yield sides[i]


def bounded(sides: Iterable[S], most: int, length: Callable[[S], int] = len, power: int = 1) -> list[list[S]]:
    """Sides of about one length together, in groups that have at most `most` turns once padded (or one side); with power 2, pairs of
    turns."""
    groups: list[list[S]] = []
    for side in sorted(sides, key=length, reverse=True):
        if groups and (len(groups[-1]) + 1) * length(groups[-1][0]) ** power <= most:
            groups[-1].append(side)
        else:
            groups.append([side])
    return groups
