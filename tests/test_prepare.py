"""`entrain prepare`: a table from a corpus; a run that stops goes on, what changed is made again, what fails is listed."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import syllables, tone
from hypothesis import given
from hypothesis import strategies as st

from entrain_training.corpora import Conversation, CorpusError, Spoken

pytest.importorskip("pyarrow", reason="pip install 'entrain[train]'")

from entrain_training.features import Settings
from entrain_training.parts import make, name_of
from entrain_training.prepare import PrepareError, prepare, prepare_conversations
from entrain_training.table import read_table


class Here:
    """An engine in this process, which counts what it makes."""

    def __init__(self, at_most: int = 1000) -> None:
        self.made: list[str] = []
        self.at_most = at_most

    def __call__(self, tasks: Any) -> Any:
        for task in tasks:
            if len(self.made) == self.at_most:
                raise KeyboardInterrupt
            self.made.append(task.conversation.id)
            yield make(task)


def talks(n: int = 4, audio: dict[str, tuple[Path, int]] | None = None) -> list[Conversation]:
    turns = tuple(Spoken("ab"[i % 2], 1.0 * i, i + 0.9, f"turn {i}") for i in range(4))
    return [
        Conversation("made", f"talk/{i}", turns, audio or {}, skipped=(f"line {i} is no turn",))
        for i in range(n)
    ]


def in_table(out: Path) -> list[str]:
    return list(dict.fromkeys(read_table(out)["conv"].to_pylist()))


def test_a_table_a_part_for_each_conversation_and_a_summary(tmp_path):
    path = syllables(4, 4.0).write(tmp_path / "a.wav")
    summary = prepare_conversations(talks(3, {"a": (path, 0)}), tmp_path / "out", engine=Here())
    assert in_table(tmp_path / "out") == ["talk/0", "talk/1", "talk/2"]
    assert len(list((tmp_path / "out" / "parts").glob("*.parquet"))) == 3
    assert json.loads((tmp_path / "out" / "prepare.json").read_text()) == summary
    assert (summary["n_conversations"], summary["n_turns"], summary["n_speakers"]) == (3, 12, 2)
    assert summary["corpora"] == {"made": 12}
    assert summary["values"]["f0_mean_st"] == 6
    assert summary["missing"]["f0_mean_st"] == {"no audio": 6}
    assert summary["skipped"] == ["line 0 is no turn", "line 1 is no turn", "line 2 is no turn"]
    assert summary["audio_s"] == pytest.approx(6 * 0.9)
    assert 0 < summary["real_time_factor_per_core"] < 5


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path):
    whole = tmp_path / "whole"
    prepare_conversations(talks(), whole, engine=Here())
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        prepare_conversations(talks(), out, engine=Here(at_most=2))
    assert not (out / "turns.parquet").exists()
    again = Here()
    summary = prepare_conversations(talks(), out, engine=again)
    assert again.made == ["talk/2", "talk/3"]
    assert summary["n_kept"] == 2
    assert (out / "turns.parquet").read_bytes() == (whole / "turns.parquet").read_bytes()


@pytest.mark.parametrize("what", ["profile", "mel", "text", "group", "audio", "features"])
def test_what_changed_is_made_again_and_said(tmp_path, what):
    path = tone(150, 4.0).write(tmp_path / "a.wav")
    before, settings = talks(2, {"a": (path, 0)}), Settings()
    prepare_conversations(before, tmp_path / "out", engine=Here())
    after = list(before)
    if what in ("text", "features"):
        turns = before[1].turns
        other = {"text": "other words"} if what == "text" else {"features": make_features()}
        after[1] = dataclasses.replace(before[1], turns=(dataclasses.replace(turns[0], **other), *turns[1:]))
    elif what == "group":
        after[1] = dataclasses.replace(before[1], group="g")
    elif what == "audio":
        tone(200, 4.0).write(path)
    else:
        settings = Settings(mel=True) if what == "mel" else Settings("praat-75-600")
    again = Here()
    summary = prepare_conversations(after, tmp_path / "out", settings, again)
    assert summary["n_remade"] == len(again.made) == (2 if what in ("profile", "mel", "audio") else 1)
    assert again.made[-1] == "talk/1"
    third = prepare_conversations(after, tmp_path / "out", settings, Here())
    assert (third["n_remade"], third["n_kept"]) == (0, 2)


def make_features() -> Any:
    from entrain.turn import Features

    return Features(rate_syll_s=4.0)


def test_a_corpus_that_was_moved_is_not_made_again(tmp_path):
    path = tone(150, 4.0).write(tmp_path / "a.wav")
    prepare_conversations(talks(1, {"a": (path, 0)}), tmp_path / "out", engine=Here())
    moved = path.rename(tmp_path / "b.wav")
    summary = prepare_conversations(talks(1, {"a": (moved, 0)}), tmp_path / "out", engine=Here())
    assert summary["n_kept"] == 1


def test_a_half_written_part_is_made_again(tmp_path):
    prepare_conversations(talks(), tmp_path, engine=Here())
    good = (tmp_path / "turns.parquet").read_bytes()
    parts = sorted((tmp_path / "parts").iterdir())
    parts[1].write_bytes(parts[1].read_bytes()[:-100])
    parts[2].write_bytes(b"")
    (tmp_path / "parts" / f".{parts[3].name}.1234.tmp").write_bytes(b"PAR1")
    again = Here()
    prepare_conversations(talks(), tmp_path, engine=again)
    assert again.made == ["talk/1", "talk/2"]
    assert (tmp_path / "turns.parquet").read_bytes() == good
    assert sorted((tmp_path / "parts").iterdir()) == parts


def test_a_conversation_that_fails_is_listed_and_retried(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("not audio")
    given = talks(3)
    given[1] = dataclasses.replace(given[1], audio={"a": (path, 0)})
    summary = prepare_conversations(given, tmp_path / "out", engine=Here())
    (failure,) = summary["failed"]
    assert (failure["corpus"], failure["conv"]) == ("made", "talk/1")
    assert f"{path} is not readable as audio" in failure["why"]
    assert in_table(tmp_path / "out") == ["talk/0", "talk/2"]
    tone(150, 4.0).write(path)
    again = Here()
    assert prepare_conversations(given, tmp_path / "out", engine=again)["failed"] == []
    assert again.made == ["talk/1"]
    assert in_table(tmp_path / "out") == ["talk/0", "talk/1", "talk/2"]


@pytest.mark.parametrize(
    ("turns", "says"),
    [
        ((Spoken("a", 2, 3), Spoken("b", 1, 2)), "it starts before the turn above it"),
        ((Spoken("a", 1, 3, "so"), Spoken("a", 1, 3, "so")), "the same speaker says the same"),
        ((Spoken("a", -1, 3),), "turn 0 of a: from -1 to 3 s is no time"),
        ((Spoken("b", 0, 1), Spoken("a", 3, 1)), "bad, turn 1 of a: from 3 to 1 s is no time"),
        ((Spoken("a", 0, float("nan")),), "from 0 to nan s is no time"),
        ((Spoken("a", 0, float("inf")),), "from 0 to inf s is no time"),
        ((Spoken("a", 0, 1, "\ud800"),), "surrogates not allowed"),
    ],
)
def test_turns_that_make_no_sense_fail_their_conversation(tmp_path, turns, says):
    good, bad = talks(1)[0], Conversation("made", "bad", turns)
    summary = prepare_conversations([bad, good], tmp_path, engine=Here())
    assert [failure["conv"] for failure in summary["failed"]] == ["bad"]
    assert says in summary["failed"][0]["why"]
    assert in_table(tmp_path) == ["talk/0"]


def test_a_conversation_given_twice_is_listed_and_in_the_table_once(tmp_path):
    summary = prepare_conversations([*talks(2), talks(1)[0]], tmp_path, engine=Here())
    (failure,) = summary["failed"]
    assert (failure["conv"], failure["why"]) == ("talk/0", "the corpus has it twice; the first was taken")
    assert in_table(tmp_path) == ["talk/0", "talk/1"]


def test_corpora_may_have_conversations_of_the_same_name(tmp_path):
    path = tmp_path / "none.wav"
    bad = dataclasses.replace(talks(1, {"a": (path, 0)})[0], corpus="made talk/0", id="x")
    same = dataclasses.replace(talks(1)[0], corpus="made", id="talk/0 x")
    other = dataclasses.replace(talks(1)[0], corpus="other")
    prepare_conversations([bad, same, talks(1)[0], other], tmp_path / "out", engine=Here())
    table = read_table(tmp_path / "out")
    assert table["corpus"].to_pylist() == ["made"] * 8 + ["other"] * 4
    assert in_table(tmp_path / "out") == ["talk/0 x", "talk/0"]


def test_no_turns_at_all_is_no_table_to_train_on(tmp_path):
    prepare_conversations([Conversation("made", "empty", ())], tmp_path, engine=Here())
    with pytest.raises(ValueError, match="has no turns"):
        read_table(tmp_path)


def test_a_folder_that_can_not_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(PrepareError, match=r"file.* can't be written"):
            prepare_conversations(talks(), out, engine=Here())


@given(st.lists(st.tuples(st.text(max_size=200), st.text(max_size=200)), min_size=2, max_size=2, unique=True))
def test_every_conversation_has_a_name_of_its_own_that_is_safe(keys):
    one, other = (name_of(Conversation(corpus, conv, ())) for corpus, conv in keys)
    assert one != other
    assert one.casefold() != other.casefold()
    assert Path(one).name == one
    assert one.isascii()
    assert len(one) < 120


# --- The command --------------------------------------------------------------------------------------------------------


def csv_table(path: Path, n_talks: int, n_turns: int, text: str = "we open at nine") -> Path:
    rows = ["conv,speaker,start,end,text,rate"]
    for i in range(n_talks):
        rows += [f"talk{i},{'ab'[j % 2]},{j},{j + 0.9},{text},{3 + j % 5}" for j in range(n_turns)]
    path.write_text("\n".join(rows))
    return path


def command(*args: object, layout: str = "table", **how: Any) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "entrain", "prepare", *map(str, args), "--layout", layout]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


def run(*args: object, code: int = 0, **how: Any) -> tuple[str, str]:
    process = command(*args, **how)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stdout + stderr
    return stdout, " ".join(stderr.split())


def pressed(process: subprocess.Popen[str], out: Path) -> str:
    """Ctrl-C as a terminal sends it, to the processes too; again where it goes on all the same, since Python leaves one unheeded that
    comes in a `__del__`. → stderr"""
    while process.poll() is None:
        n_done = len(list(out.glob("parts/*.parquet")))
        os.killpg(process.pid, signal.SIGINT)
        while process.poll() is None and len(list(out.glob("parts/*.parquet"))) < n_done + 5:
            time.sleep(0.05)
    return process.communicate()[1]


def test_a_run_that_is_interrupted_at_the_keyboard_goes_on(tmp_path):
    table, out = (
        csv_table(tmp_path / "t.csv", 100, 400),
        tmp_path / "out",
    )  # long enough that it is not done when the signal comes
    process = command(table, out, "--jobs", 1, start_new_session=True)
    while process.poll() is None and not list(out.glob("parts/*.parquet")):
        time.sleep(0.02)
    stderr = pressed(process, out)
    assert process.returncode == 130
    assert "the same command goes on from there" in stderr
    assert "Traceback" not in stderr
    n_done = len(list(out.glob("parts/*.parquet")))
    assert 1 <= n_done < 100
    assert not (out / "turns.parquet").exists()
    summary = json.loads(run(table, out, "--json")[0])
    assert (summary["n_kept"], summary["n_conversations"], summary["n_turns"]) == (n_done, 100, 40_000)
    assert read_table(out).num_rows == 40_000


def test_a_full_disk_is_a_sentence_and_keeps_what_is_done(tmp_path):
    """A limit to the size of files stands for the disk: the same error from the system, at the same place."""
    small, big = "a few words", " ".join(f"w{i}" for i in range(20_000))
    lines = csv_table(tmp_path / "t.csv", 3, 4, small).read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join([*lines, f"talk9,a,0,9,{big},4"]))
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))}
    _, stderr = run(tmp_path / "t.csv", tmp_path / "out", "--jobs", 1, code=2, **limit)
    assert "can't be written" in stderr
    assert "The 3 conversations that are done are kept" in stderr
    assert len(list((tmp_path / "out" / "parts").iterdir())) == 3
    assert json.loads(run(tmp_path / "t.csv", tmp_path / "out", "--json")[0])["n_kept"] == 3


def test_the_command_tells_what_it_made_and_takes_a_limit(tmp_path):
    table, out = csv_table(tmp_path / "t.csv", 3, 5), tmp_path / "out"
    stdout, stderr = run(table, out, "--limit", 2)
    assert "10 turns · 2 conversations" in " ".join(stdout.split())
    assert "not in the table: 10" in " ".join(stdout.split())
    _, stderr = run(table, out, "--mel")
    assert "2 had been made from other settings, turns or audio, and were made again" in stderr
    assert read_table(out)["mel"].null_count == 15


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--profile", "x"), "Select one of entrain-1, praat-75-600"),
        (("--engine", "spark"), "Select one of local, ray"),
        (("--address", "1.2.3.4:5"), "give --engine ray with it"),
    ],
)
def test_what_a_user_can_mend_is_a_sentence(tmp_path, args, says):
    assert says in run(csv_table(tmp_path / "t.csv", 1, 2), tmp_path / "out", *args, code=2)[1]


def test_conversations_that_failed_are_listed_with_exit_code_1(tmp_path):
    for name, sample in (("bad", np.nan), ("good", 0.1)):
        folder = tmp_path / "corpus" / name
        folder.mkdir(parents=True)
        (folder / "turns.csv").write_text("speaker,start,end,text\nann,0,0.5,hello\n")
        soundfile.write(folder / "ann.wav", np.full(16_000, sample), 16_000, subtype="FLOAT")
    stdout, stderr = run(tmp_path / "corpus", tmp_path / "out", "--json", code=1, layout="plain")
    assert "1 conversations failed; they are listed in" in stderr
    assert "Run again to retry" in stderr
    assert "samples are NaN or infinite" in json.loads(stdout)["failed"][0]["why"]
    assert in_table(tmp_path / "out") == ["good"]


def test_what_is_not_a_corpus_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match="give the corpus's folder or file"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(CorpusError, match="Select one of"):
        prepare(tmp_path, tmp_path / "out", "roman")
