"""Each layout is told from the others by its files alone."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import test_fisher
import test_games
import test_kaldi
import test_switchboard
from spoken import record, write
from test_plain import TWO

from entrain_training.corpora import LAYOUTS, CorpusError, guess_layout, read_corpus

SAMPLES: dict[str, Callable[[Path], object]] = {
    "table": lambda root: write(root / "mine.csv", "conv,speaker,start,end\nc,ann,0,1\n"),
    "plain": lambda root: write(root / "monday/turns.csv", TWO),
    "fisher": lambda root: test_fisher.transcript(root, test_fisher.HELLO),
    "switchboard": lambda root: test_switchboard.transcript(root, "A", test_switchboard.HI),
    "games": lambda root: test_games.words(root, "A", ["0 1 yes"]),
    "kaldi": lambda root: test_kaldi.folder(root, test_kaldi.HELLO),
}
"""Layout → writes a sample; the other layouts' own tests have theirs."""


@pytest.mark.parametrize("layout", SAMPLES)
def test_a_sample_is_recognised_and_read(tmp_path: Path, layout: str):
    SAMPLES[layout](tmp_path)
    assert guess_layout(tmp_path) == layout
    (by_itself,) = read_corpus(tmp_path)
    (when_told,) = read_corpus(str(tmp_path), layout)
    assert by_itself == when_told
    assert by_itself.turns


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_a_reader_that_takes_any_folder(tmp_path: Path, layout: str):
    module = import_module(f"entrain_training.corpora.{layout}")
    assert module.__doc__
    record(tmp_path / "music/song.wav")
    write(tmp_path / "notes.txt", "no corpus")
    write(tmp_path / "prices.csv", "day,price\n1,2\n")
    assert not module.looks_like(tmp_path)
    assert not module.looks_like(tmp_path / "notes.txt")


@pytest.mark.parametrize("name", ["mine.csv", "mine.csv.gz"])
def test_a_table_is_known_by_its_name_so_that_its_faults_are_told(tmp_path: Path, name: str):
    path = write(tmp_path / name, "conv,speaker\n")
    with pytest.raises(CorpusError, match=r"mine\.csv.* (has no column start, end|can't be read)"):
        list(read_corpus(path))


def test_layouts_that_are_none_or_several(tmp_path: Path):
    with pytest.raises(
        CorpusError, match=r"is in no layout known here.*Give one by --layout:\n  table: turn-table CSV"
    ):
        guess_layout(tmp_path)
    for layout in ("table", "games"):
        SAMPLES[layout](tmp_path)
    with pytest.raises(CorpusError, match=r"could be table or games\. Give one by --layout"):
        list(read_corpus(tmp_path))
    (conversation,) = read_corpus(tmp_path, "games")
    assert conversation.corpus == "games"


def test_what_is_not_there(tmp_path: Path):
    with pytest.raises(CorpusError, match=r"there is no .*gone; give the corpus's folder or file"):
        list(read_corpus(tmp_path / "gone"))
    with pytest.raises(CorpusError, match=r"there is no layout 'csv'. Select one of table, plain, fisher"):
        list(read_corpus(tmp_path, "csv"))
    with pytest.raises(CorpusError, match="has no conversation in the layout 'fisher'"):
        list(read_corpus(tmp_path, "fisher"))
