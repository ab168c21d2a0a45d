from __future__ import annotations

import csv
import gzip
import io
import logging
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spoken import write

from entrain.turn import FEATURES
from entrain_training.corpora import Conversation, CorpusError, guess_layout, read_corpus
from entrain_training.corpora.table import read

HEAD = "conv,speaker,start,end,text"


def table(path: Path, *rows: str, head: str = HEAD) -> list[Conversation]:
    return list(read(write(path / "t.csv", "\n".join((head, *rows)) + "\n")))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["ann", "bo"]), st.integers(0, 90), st.text()),
        min_size=1,
        unique_by=lambda row: row[:3],
    )
)
def test_every_row_is_one_turn_with_its_text(
    rows: list[tuple[str, str, int, str]], tmp_path_factory: pytest.TempPathFactory
):
    file = io.StringIO(newline="")
    texts = [text.replace("\0", "") for *_, text in rows]
    csv.writer(file).writerows(
        [("conv", "speaker", "start", "end", "text")]
        + [(c, s, t / 8, t / 8 + 1, text) for (c, s, t, _), text in zip(rows, texts, strict=True)]
    )
    root = tmp_path_factory.mktemp("table") / "t.csv"
    root.write_bytes(file.getvalue().encode(errors="replace"))
    conversations = {c.id: c for c in read(root)}
    assert list(conversations) == list(dict.fromkeys(row[0] for row in rows))
    for conv, conversation in conversations.items():
        expected = [
            (s, t / 8, text.encode(errors="replace").decode().strip())
            for (c, s, t, _), text in zip(rows, texts, strict=True)
            if c == conv
        ]
        assert sorted((t.speaker, t.start_s, t.text) for t in conversation.turns) == sorted(expected)
        assert [t.start_s for t in conversation.turns] == sorted(t.start_s for t in conversation.turns)
        assert conversation.skipped == ()


def test_features_are_what_the_row_has(tmp_path: Path):
    head = "conv,speaker,start,end,n_syll,speech_s,rate,f0_mean_st,jitter"
    (conversation,) = table(tmp_path, "c,ann,1,3,5,1.5,3.25,-2.5,", "c,bo,3,4,,,,,.01", head=head)
    first, second = (turn.features for turn in conversation.turns)
    assert first
    assert second
    assert (first.rate_syll_s, first.f0_mean_st, first.jitter) == (3.25, -2.5, None)
    assert (first.duration_s, first.speech_s, first.n_syllables, first.rate_source) == (2, 1.5, 5, "words")
    assert (second.rate_syll_s, second.jitter, second.rate_source) == (None, 0.01, "none")
    assert second.pause_ratio == 0  # the row tells no speech_s: that is no pause
    for features in (first, second):
        given_ = {name for name in FEATURES if getattr(features, name) is not None}
        assert given_ | set(features.missing) == set(FEATURES)
        assert not given_ & set(features.missing)


def test_all_seven_features_by_name(tmp_path: Path):
    head = "conv,speaker,start,end," + ",".join(FEATURES)
    (conversation,) = table(tmp_path, "c,ann,0,1,1,2,3,4,5,6,7", head=head)
    features = conversation.turns[0].features
    assert features
    assert [getattr(features, name) for name in FEATURES] == [1, 2, 3, 4, 5, 6, 7]
    assert features.missing == {}


def test_turns_are_the_tables_own_with_overlaps_marked(tmp_path: Path):
    (conversation,) = table(tmp_path, "c,ann,0,1,a", "c,ann,1.2,2,b", "c,bo,1.5,3,c", "c,ann,3,4,d")
    assert [(t.text, t.overlap) for t in conversation.turns] == [
        ("a", False),
        ("b", False),
        ("c", True),
        ("d", False),
    ]


@pytest.mark.parametrize(
    ("head", "row", "message"),
    [
        ("conv,speaker,start", "c,ann,0", r"t\.csv has no column end \(it has conv, speaker, start\)"),
        ("conv;speaker;start;end", "c;ann;0;1", r"no column conv, speaker, start, end"),
        (f"{HEAD},mood", "c,ann,0,1,a,glad", r"t\.csv has an unknown column 'mood'.*Allowed as well: corpus"),
        (f"{HEAD},end", "c,ann,0,1,a,1", "the column end more than once"),
        (HEAD, "c,ann,soon,1,a", r"line 2: start is 'soon'; it must be a number"),
        (HEAD, "c,ann,0,nan,a", r"line 2: end is 'nan'"),
        (HEAD, "c,ann,0,inf,a", r"line 2: end is 'inf'"),
        (HEAD, "c,ann,,1,a", r"line 2: start is empty"),
        (HEAD, "c,,0,1,a", r"line 2: speaker is empty"),
        (HEAD, ",ann,0,1,a", r"line 2: conv is empty"),
        (HEAD, "c,ann,0,1,well, no", r"line 2: 6 cells, but the header has 5"),
        (HEAD, "c,ann,0", r"line 2: 3 cells.*cut off"),
        (f"{HEAD},rate", "c,ann,0,1,a,NaN", r"line 2: rate is 'NaN'"),
        (f"{HEAD},rate", "c,ann,0,1,a,-3", r"line 2: the rate is -3; it must be above 0"),
        (f"{HEAD},jitter", "c,ann,0,1,a,x", r"line 2: jitter is 'x'"),
        ("", "", "t.csv has no column conv"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, head: str, row: str, message: str):
    with pytest.raises(CorpusError, match=message):
        table(tmp_path, row, head=head)


def test_the_line_is_the_files_own_after_text_of_two_lines(tmp_path: Path):
    with pytest.raises(CorpusError, match="line 4: start is 'x'"):
        table(tmp_path, 'c,ann,0,1,"two\nlines"', "c,bo,x,2,b")


@pytest.mark.parametrize("times", ["-1,1", "2,1", "1,1"])
def test_times_that_are_none_are_listed(tmp_path: Path, times: str):
    (conversation,) = table(tmp_path, "c,ann,0,1,a", f"c,bo,{times},b")
    assert [turn.text for turn in conversation.turns] == ["a"]
    assert len(conversation.skipped) == 1
    assert "t.csv, line 3: from" in conversation.skipped[0]


def test_repeated_turns_are_listed(tmp_path: Path):
    (conversation,) = table(tmp_path, "c,ann,0,1,a", "c,bo,0,1,a", "c,ann,0,1,a", "c,ann,0,1,b")
    assert sorted((t.speaker, t.text) for t in conversation.turns) == [
        ("ann", "a"),
        ("ann", "b"),
        ("bo", "a"),
    ]
    assert len(conversation.skipped) == 1
    assert "t.csv, line 4: the same turn" in conversation.skipped[0]


def test_rows_out_of_order_and_single_speakers_are_kept_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        mixed, alone = table(tmp_path, "m,ann,5,6,b", "m,bo,1,2,a", "one,ann,0,1,c")
    assert [turn.text for turn in mixed.turns] == ["a", "b"]
    assert [turn.text for turn in alone.turns] == ["c"]
    assert mixed.skipped == alone.skipped == ()
    assert "1 conversations are not in order of starts: sorted (m)" in caplog.text
    assert "1 conversations are of one speaker (one)" in caplog.text


def test_who_is_who(tmp_path: Path):
    head = "corpus,conv,speaker,start,end"
    read_ = table(
        tmp_path,
        "ami,ES2002a,A,0,1",
        "ami,ES2002b,A,0,1",
        "ami,EN2001a,A,0,1",
        "ami,IN1005,A,0,1",
        "primock57,day1_consultation01,doctor,0,1",
        "primock57,day5_consultation12,doctor,0,1",
        "spjallromur,01119679,a,0,1",
        "mine,monday,ann,0,1",
        "mine,friday,ann,0,1",
        "mine,friday,B,0,1",
        head=head,
    )
    assert [(sorted({t.speaker for t in c.turns}), c.group) for c in read_] == [
        (["ES2002/A"], ""),
        (["ES2002/A"], ""),
        (["EN2001a/A"], "ami-EN"),
        (["IN1005/A"], "ami-IN"),
        (["day1_consultation01/doctor"], "primock57"),
        (["day5_consultation12/doctor"], "primock57"),
        (["01119679/a"], ""),
        (["ann"], ""),
        (["ann", "friday/B"], ""),
    ]


def test_a_group_can_be_told(tmp_path: Path):
    (conversation,) = table(tmp_path, "c,ann,0,1,a,family", "c,bo,1,2,b,family", head=f"{HEAD},group")
    assert conversation.group == "family"
    with pytest.raises(CorpusError, match=r"c is in the groups \['', 'family'\]"):
        table(tmp_path, "c,ann,0,1,a,family", "c,bo,1,2,b,", head=f"{HEAD},group")


def test_a_folder_of_tables_packed_or_not(tmp_path: Path):
    write(tmp_path / "one.csv", f"\ufeff{HEAD}\r\nc,ann,0,1,a\r\n\r\n")
    (tmp_path / "two.csv.gz").write_bytes(gzip.compress(f"{HEAD}\nc,ann,0,1,þá\n".encode()))
    write(tmp_path / "readme.txt", "not a table")
    assert guess_layout(tmp_path) == "table"
    assert [(c.corpus, c.id, c.turns[0].text) for c in read(tmp_path)] == [
        ("one", "c", "a"),
        ("two", "c", "þá"),
    ]
    write(tmp_path / "three.csv", f"corpus,{HEAD}\none,c,ann,0,1,a\n")
    with pytest.raises(CorpusError, match="one c is also in"):
        list(read(tmp_path))


def test_half_copied_and_foreign_files(tmp_path: Path):
    whole = gzip.compress("\n".join([HEAD, *(f"c,ann,{n},{n}.5,a{n * 7919}" for n in range(999))]).encode())
    path = tmp_path / "t.csv.gz"
    for content in (whole[: len(whole) // 2], b"", b"no gzip"):
        path.write_bytes(content)
        with pytest.raises(CorpusError, match=r"t\.csv\.gz"):
            list(read(path))
    path = tmp_path / "t.csv"
    path.write_bytes(f"{HEAD}\nc,ann,0,1,þá\n".encode("latin-1"))
    with pytest.raises(CorpusError, match="not UTF-8"):
        list(read(path))
    with pytest.raises(CorpusError, match="no conversation"):
        list(read_corpus(write(tmp_path / "empty.csv", HEAD + "\n"), "table"))


def test_the_public_tables(data: Path):
    start = time.perf_counter()
    conversations = list(read_corpus(data / "conversations"))
    assert time.perf_counter() - start < 30  # about 3 s
    assert len(conversations) == 274
    assert sum(len(c.turns) for c in conversations) == 79_666
    assert [c.id for c in conversations if c.skipped] == []
    assert {c.group for c in conversations} == {"", "ami-EN", "ami-IB", "ami-IN", "primock57"}
    people = {
        c.corpus: {t.speaker for x in conversations if x.corpus == c.corpus for t in x.turns}
        for c in conversations
    }
    assert len(people["spjallromur"]) == 2 * 46
    assert len([p for p in people["ami"] if p[:2] in ("ES", "IS", "TS")]) == 4 * 35
    features = [t.features for c in conversations for t in c.turns]
    assert sum(f is not None and f.rate_syll_s is None for f in features) == 7
    assert all(f is not None and 0 <= f.speech_s <= f.duration_s for f in features)


def test_syllables_are_counted_as_live_where_that_is_possible(tmp_path: Path) -> None:
    """Whatever the table counted by: text and seconds of speech are there, only seconds, only a rate, or the feature by its name."""
    rows = ["little table,2,9,9.5,", "little table,,9,9.5,", ",2,9,9.5,", "little table,2,9,9.5,4.25"]
    lines = [f"1,{'AB'[i % 2]},{i},{i + 0.9},{row}" for i, row in enumerate(rows)]
    path = tmp_path / "t.csv"
    path.write_text(
        "\n".join(["conv,speaker,start,end,text,speech_s,n_syll,rate,rate_syll_s", *lines]) + "\n"
    )
    path.write_text(path.read_text().replace(",2,9,", ",0.8,9,"))
    (conversation,) = read(path)
    features = [turn.features for turn in conversation.turns]
    assert [f and f.rate_syll_s for f in features] == [4 / 0.8, 9.5, 9.5, 4.25]
    assert [f and f.n_syllables for f in features] == [4, 4, 9, 4]
