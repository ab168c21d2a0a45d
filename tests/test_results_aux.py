"""The ears' page: all that it shows is made in tiny sizes from the recordings beside the project, and what is wrong is a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

GRIDS = {
    "vad": ("Meetings", "In noise alone", "AUC by noise level", "Accuracy in %"),
    "wake": ("threshold", "had the threshold", "nearly the word", "One word, one trigger"),
    "emotion": ("six folds", "Other protocols", "Across corpora", "Each speaker"),
}
"""Part → how some of its tables begin."""


def make(*args: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "entrain_training.results_aux", *map(str, args)],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("part", GRIDS)
def test_each_part_is_made_from_nothing_and_then_found(data: Path, tmp_path: Path, part: str):
    told = make(data, "--out", tmp_path, "--only", part, "--quick")
    assert "Now open" in told
    stored = json.loads((tmp_path / "quick" / "results.json").read_text())
    titles = " ".join(grid["title"] for section in stored["sections"] for grid in section["grids"])
    for title in GRIDS[part]:
        assert title in titles
    assert any(section["figures"] for section in stored["sections"])
    assert "NaN" not in (tmp_path / "quick" / "results.json").read_text()


def test_what_is_wrong_is_told(tmp_path: Path):
    assert "there is no folder" in make(tmp_path / "nowhere", code=2)
    assert "there is no part nose. Select from vad, wake, emotion" in make(tmp_path, "--only", "nose", code=2)
