"""Text → word vectors: GloVe's, or any other table that gensim reads; and what a model must know of them to be used again."""

from __future__ import annotations

import hashlib
import re
import unicodedata
import zlib
from collections.abc import Iterable
from functools import cached_property, lru_cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.syllables import count_word

SHIPPED = "glove-6b-50d.safetensors"
TOKENISER = "entrain-words-1"
"""Names what `tokens` does: lower case, contractions parted as GloVe's own tokeniser does, no punctuation. Change it, change this."""

TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:[-'][^\W\d_]+)*")
CONTRACTION = re.compile(r"(?<=\w)(n't|'(?:s|re|ve|ll|d|m))$")
PARTED = {"cannot": ("can", "not"), "gonna": ("gon", "na"), "gotta": ("got", "ta"), "wanna": ("wan", "na")}
MAX_WORDS = 64  # of a turn: its first 32 and last 32; 95 % of the turns in the AMI table have no more
EXTRA = 3  # beside the vector: is it unknown, how many syllables, how many letters


class WordsError(ValueError):
    """The vectors can't be read or are not those that the model was trained with; the message says what to do."""


class Words:
    """A vocabulary with its vectors. `table` is `(V + 1, D)`; row 0, of zeros, is for words that are not in it."""

    def __init__(self, vectors: Any, id: str) -> None:
        """`vectors`: a gensim `KeyedVectors`. `id` names the table and its content."""
        self.vectors, self.id = vectors, id
        self.table = np.pad(np.asarray(vectors.vectors, np.float32), ((1, 0), (0, 0)))

    @classmethod
    def load(cls, path: str | Path | None = None) -> Words:
        """The shipped table (GloVe 6B, 50 values, its commonest words), or any file in GloVe's or word2vec's format: .txt or
        .vec (.gz), .bin. Raises `WordsError`, also for gensim's own .kv and .model: those are pickles, which can run code."""
        return _shipped() if path is None else _from_file(Path(path))

    @property
    def dim(self) -> int:
        """Length of what `encode` gives for a word."""
        return self.table.shape[1] + EXTRA

    def find(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Rows of `table` `(W,)` and the forms `(W, 2)`: syllables / 4 and letters / 10, which unknown words have too. W is at most
        `MAX_WORDS`: of a longer text the middle is left out."""
        rows: list[int] = []
        forms: list[tuple[float, float]] = []
        for token in kept_tokens(text):
            row, form = self._seen(token)
            rows.append(row)
            forms.append(form)
        return np.array(rows, np.int32), np.array(forms, np.float32).reshape(-1, 2)

    def look_up(self, rows: NDArray[np.int32], forms: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network reads `(W, dim)`: the vector, 1 where the word is unknown, and its form."""
        return np.concatenate([self.table[rows], (rows == 0)[:, None], forms], 1, dtype=np.float32)

    def encode(self, text: str) -> NDArray[np.float32]:
        """`look_up` of `find`: `(W, dim)`; W may be 0."""
        return self.look_up(*self.find(text))

    def unknown_rate(self, texts: Iterable[str]) -> float:
        """Share of the words that are not in the table; 0 where there is no word."""
        rows: list[int] = [row for text in texts for row in self.find(text)[0].tolist()]
        return rows.count(0) / len(rows) if rows else 0.0

    @cached_property
    def _seen(self) -> Any:
        @lru_cache(maxsize=50_000)
        def seen(token: str) -> tuple[int, tuple[float, float]]:
            row = self.vectors.key_to_index.get(token, -1) + 1
            return row, (count_word(token) / 4 if token[0].isalnum() else 0.0, len(token) / 10)

        return seen


def tokens(text: str) -> list[str]:
    """Words as GloVe has them: "I can't, Mm-hmm!" → i, ca, n't, mm, hmm. Of any script; punctuation is left out."""
    text = unicodedata.normalize("NFC", text).lower().replace("’", "'").replace("_", "")
    found: list[str] = []
    for word in TOKEN.findall(text):
        endings: list[str] = []
        while part := CONTRACTION.search(word):  # "I'd've" has two
            word, endings = word[: part.start()], [part.group(), *endings]
        found += PARTED[word] if word in PARTED else word.replace("'", "-").split("-")
        found += endings
    return found


def kept_tokens(text: str) -> list[str]:
    """Those that are read: all, or the first and last 32."""
    found = tokens(text)
    half = MAX_WORDS // 2
    return found if len(found) <= MAX_WORDS else found[:half] + found[-half:]


def _from_file(path: Path) -> Words:
    keyed_vectors = import_module("gensim.models").KeyedVectors
    name = path.name.removesuffix(".gz")
    if path.suffix in {".kv", ".model", ".pkl", ".pickle"}:
        raise WordsError(
            f"{path} is a pickle, which can run code when it is read. Save it with save_word2vec_format(…, binary=True) and give that."
        )
    if not name.endswith((".txt", ".vec", ".bin")):
        raise WordsError(f"{path} ends in {path.suffix!r}; .txt, .vec (also .gz) or .bin is needed.")
    try:
        binary = name.endswith(".bin")
        vectors = keyed_vectors.load_word2vec_format(
            str(path), binary=binary, no_header=not binary and not _has_header(path)
        )
    except FileNotFoundError as error:
        raise WordsError(f"there is no {path}; give a file of word vectors.") from error
    except (ValueError, TypeError, EOFError, OSError, MemoryError, zlib.error) as error:
        raise WordsError(
            f"{path} holds no word vectors that gensim can read: {str(error) or type(error).__name__}"
        ) from error
    known = [
        word for word in vectors.index_to_key if word is not None
    ]  # gensim leaves gaps for doubled words
    vectors.index_to_key, vectors.vectors = known, vectors.vectors[: len(known)]
    if not vectors.vectors.size:
        raise WordsError(
            f"{path} has {len(known)} words of {vectors.vector_size} values; at least one of each is needed."
        )
    if not (finite := np.isfinite(vectors.vectors).all(1)).all():
        word = known[finite.argmin()]
        raise WordsError(f"{path}: the vector of {word!r} is not finite; leave it out or mend it.")
    return Words(vectors, f"{path.name.split('.')[0]}-{_digest(vectors)}")


def _has_header(path: Path) -> bool:
    from gensim.utils import open as open_  # reads .gz too

    with open_(str(path), "rt", encoding="utf-8", errors="replace") as file:
        return len(file.readline().split()) == 2


@lru_cache(maxsize=1)
def _shipped() -> Words:
    keyed_vectors = import_module("gensim.models").KeyedVectors
    content = import_module("safetensors.numpy").load(
        files("entrain").joinpath(f"data/{SHIPPED}").read_bytes()
    )
    known: list[str] = bytes(content["words"]).decode().split("\n")
    vectors = keyed_vectors(vector_size=content["vectors"].shape[1])
    vectors.add_vectors(known, content["vectors"].astype(np.float32))
    return Words(vectors, f"glove-6b-50d-{_digest(vectors)}")


def _digest(vectors: Any) -> str:
    """Of the words in order and their vectors, so that tables which differ in either have other names."""
    content = hashlib.sha256("\n".join(vectors.index_to_key).encode())
    content.update(np.ascontiguousarray(vectors.vectors, np.float32).tobytes())
    return content.hexdigest()[:12]
