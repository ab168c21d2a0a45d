"""Emotion on its way through a talk: judged beside the features, kept with the turn, learnt from turn to turn, read by the model."""

from __future__ import annotations

import base64
import json
import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import joined, silence
from emotion_model import LABELS, trained, voice
from server import serving, until
from typer.testing import CliRunner

from entrain.audio import Audio
from entrain.cli import app
from entrain.conversation import Conversation, Entrainer
from entrain.converse import read_conversation
from entrain.doctor import _feel
from entrain.ear import Ears
from entrain.emotion import EmotionError, Felt, load_emotion
from entrain.history import History
from entrain.live import Event, Live
from entrain.messages import Conversation as Exported
from entrain.neural import Neural
from entrain.responder import Script
from entrain.store import Store
from entrain.turn import Features, Turn
from entrain.words import Words
from entrain.worker import Judge
from entrain_training.columns import EMOTION, TableError, schema
from entrain_training.coupling import COUPLINGS
from entrain_training.data import all_sides, collate, emotions_in, read_dialogues
from entrain_training.features import Settings
from entrain_training.parts import make
from entrain_training.prepare import prepare as prepared
from entrain_training.simulate import simulate, to_table
from entrain_training.table import read_table, write_table

pytest.importorskip("sklearn", reason="pip install 'entrain[train]'")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("emotion") / "model")


@pytest.fixture(scope="module")
def agent(model: Path) -> Iterator[Entrainer]:
    with Entrainer.load(strategy="neutral", recogniser=None, emotion=model) as agent:
        yield agent


@pytest.fixture
def fresh(agent: Entrainer, monkeypatch: pytest.MonkeyPatch) -> Entrainer:
    for name in ("store", "emotion"):
        monkeypatch.setattr(agent, name, getattr(agent, name))
    return agent


def here(model: Path, *turns: Audio) -> list[Felt]:
    """The same in this process, one turn after another."""
    judge, manner, found = load_emotion(model), None, []
    for audio in turns:
        found.append(judge.feel(audio, manner))
        manner = found[-1].manner
    return found


def likeliest(turn: Turn) -> str:
    assert turn.emotion is not None
    return max(turn.emotion, key=turn.emotion.__getitem__)


TURNS = [voice(emotion, 150, 1) for emotion in ("calm", "excited", "sad")]


# --- a talk


def test_a_turn_is_judged_by_what_was_learnt_of_its_speaker(fresh: Entrainer, model: Path) -> None:
    expected = here(model, *TURNS)
    with fresh.conversation() as talk:
        heard = [talk.hear(audio, "well") for audio in TURNS]
    assert [turn.emotion for turn in heard] == [felt.probabilities for felt in expected]
    assert [likeliest(turn) for turn in heard] == ["calm", "excited", "sad"]
    assert talk.history.manners == {"user": expected[-1].manner}


def test_the_features_are_those_of_an_agent_without(fresh: Entrainer) -> None:
    with fresh.conversation() as with_, fresh.conversation() as without:
        judged = with_.hear(TURNS[1], "well")
        fresh.emotion = ""
        plain = without.hear(TURNS[1], "well")
    assert plain.emotion is None
    assert without.history.manners == {}
    assert judged == plain.model_copy(update={"emotion": judged.emotion})


def spoken_in_pieces(talk: Conversation, audio: Audio, pauses: tuple[int, ...] = ()) -> Turn:
    hearing = talk.listen(audio.rate_hz)
    for nth, start in enumerate(range(0, len(audio.samples), 1600)):
        hearing.feed(audio.samples[start : start + 1600])
        if nth in pauses:
            hearing.glance()
    return talk.hear(hearing, "well")


@pytest.mark.parametrize("pauses", [(), (5,), (5, 11)])
def test_heard_while_spoken_equals_heard_whole(
    fresh: Entrainer, model: Path, pauses: tuple[int, ...]
) -> None:
    """With a glance at a pause, and at the end (19,200 samples are 12 pieces)."""
    with fresh.conversation() as talk:
        heard = [spoken_in_pieces(talk, audio, pauses) for audio in TURNS]
    assert [turn.emotion for turn in heard] == [felt.probabilities for felt in here(model, *TURNS)]


def test_at_a_glance_the_turn_is_judged_before_it_is_over(agent: Entrainer, model: Path) -> None:
    judge = Judge(str(model))
    hearing = agent.worker.listen(16_000, judge)
    hearing.feed(TURNS[0].samples)
    hearing.glance()
    begun = hearing.feel(judge)
    assert hearing.feel(judge) is begun
    other = Judge(str(model), begun.result().manner)  # something was learnt meanwhile
    assert hearing.feel(other) is not begun
    hearing.feed(TURNS[1].samples)
    assert hearing.feel(judge) is not begun


def test_a_live_turn_is_judged(fresh: Entrainer) -> None:
    pytest.importorskip("silero_vad", reason="pip install 'entrain[ears]'")
    events: list[Event] = []
    ears, talk = Ears.load(smart=False), fresh.conversation()
    live = Live(talk, Script(["So it is."]), 16_000, ears=ears, hands_free=False, on=events.append)
    live.begin()
    for start in range(0, len(TURNS[1].samples), 320):
        live.feed(TURNS[1].samples[start : start + 320])
    live.end()
    until(lambda: any(event.type == "heard" for event in events))
    live.close()
    heard = next(event for event in events if event.type == "heard").data["turn"]
    assert likeliest(Turn.model_validate(heard)) == "excited"


def test_a_turn_over_rest_tells_its_emotion(fresh: Entrainer) -> None:
    with serving(fresh) as client:
        sent = {"audio": base64.b64encode(TURNS[1].wav()).decode(), "text": "well"}
        turn = client.post("/v1/conversations/k/user_turn", json=sent).json()["turn"]
        assert likeliest(Turn.model_validate(turn)) == "excited"
        kept = client.get("/v1/conversations/k").json()
        assert kept["turns"][0]["emotion"] == turn["emotion"]
        assert History.from_json(json.dumps(kept)).manners["user"].n == 1
        assert "Sounds excited" in client.get("/v1/conversations/k/report").text
        described = client.get("/openapi.json").json()["components"]["schemas"]["Turn"]["properties"]
    assert "emotion" in described


def test_the_agent_is_judged_as_it_really_sounded(fresh: Entrainer) -> None:
    with fresh.conversation() as talk:
        talk.hear(TURNS[0], "well")
        talk.spoke("So it is.", TURNS[1])
        talk.spoke("Nothing was played.")
    assert likeliest(talk.turns[1]) == "excited"
    assert talk.turns[2].emotion is None
    assert set(talk.history.manners) == {"user", "agent"}


@pytest.mark.parametrize("audio", [silence(1.0), silence(0.0), TURNS[0].part(0, 0.1)])
def test_what_can_not_be_judged_has_no_emotion_and_is_no_fault(fresh: Entrainer, audio: Audio) -> None:
    with fresh.conversation() as talk:
        talk.hear(TURNS[0], "well")
        before = dict(talk.history.manners)
        turn = talk.hear(audio, "")
    assert (turn.emotion, turn.fault) == (None, "")
    assert talk.history.manners == before


def test_a_model_that_fails_is_logged_once_and_the_talk_goes_on(
    fresh: Entrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fresh.emotion = str(tmp_path / "gone")
    with caplog.at_level(logging.ERROR), fresh.conversation() as talk:
        turns = [talk.hear(audio, "well") for audio in TURNS]
    assert [turn.emotion for turn in turns] == [None] * 3
    assert all(turn.features.f0_mean_st is not None for turn in turns)
    assert all(turn.fault.startswith("emotion: ") for turn in turns)
    assert sum("emotion failed" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("p", [float("nan"), -0.1, 1.1])
def test_what_is_no_probability_does_not_reach_a_turn(fresh: Entrainer, p: float) -> None:
    felt: Future[Felt] = Future()
    felt.set_result(Felt({"calm": 0.5, "sad": p}, None))
    with fresh.conversation() as talk:
        assert talk._emotion("user", felt) is None
    assert "sad has a probability that is none" in talk._fault


def test_garbage_from_the_host_is_only_the_fault_that_it_is(fresh: Entrainer) -> None:
    with fresh.conversation() as talk:
        turn = talk.hear("sound.wav", "well")  # type: ignore[arg-type]
    assert turn.fault.startswith("features: hear needs an Audio")
    assert turn.emotion is None


def test_a_folder_without_a_model_is_an_error_at_the_door(agent: Entrainer, tmp_path: Path) -> None:
    with pytest.raises(EmotionError, match="holds no trained model of emotion"):
        Entrainer.load(agent.tts, agent.strategy, voice=agent.voice, recogniser=None, emotion=tmp_path)


# --- kept


def test_what_was_learnt_of_a_speaker_survives_a_restart_and_not_its_deletion(
    fresh: Entrainer, model: Path, tmp_path: Path
) -> None:
    expected = [felt.probabilities for felt in here(model, *TURNS)]
    for nth, audio in enumerate(TURNS):
        fresh.store = Store(tmp_path / "talks.sqlite")
        with fresh.conversation("kiosk") as talk:
            assert talk.hear(audio, "well").emotion == expected[nth]
    assert [turn.emotion for turn in Store(tmp_path / "talks.sqlite").all_turns("kiosk")] == expected
    assert fresh.forget("kiosk")
    with fresh.conversation("kiosk") as talk:
        assert talk.hear(TURNS[0], "well").emotion == expected[0]


def test_an_export_over_rest_has_all_of_it(fresh: Entrainer) -> None:
    with fresh.conversation("a") as talk:
        talk.hear(TURNS[0], "well")
    sent = Exported.model_validate_json(talk.history.to_json()).model_dump_json(by_alias=True)
    back = History.from_json(sent)
    assert (back.turns, back.manners) == (talk.turns, talk.history.manners)


# --- a corpus


SPEAKERS_HZ = {"a": 150.0, "b": 190.0}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """In the plain layout: two speakers, a file each; of a third there is no sound."""
    folder = tmp_path / "corpus" / "talk"
    folder.mkdir(parents=True)
    for name, hz in SPEAKERS_HZ.items():
        said = [joined(voice(emotion, hz, 1), silence(0.8)) for emotion in LABELS]
        joined(*said).write(folder / f"{name}.wav")
    rows = [f"{name},{2 * i},{2 * i + 1.2},{name} {i}" for i in range(3) for name in SPEAKERS_HZ]
    (folder / "turns.csv").write_text("\n".join(["speaker,start,end,text", *rows, "c,5.5,6,nobody hears"]))
    return folder.parent


def prepare(corpus: Path, model: Path | None = None) -> dict[str, Any]:
    settings = Settings(emotion=str(model)) if model else Settings()
    return prepared(corpus, corpus / "out", settings=settings, engine=partial(map, make))


def test_a_corpus_is_judged_as_a_talk_is_turn_after_turn_of_each_speaker(model: Path, corpus: Path) -> None:
    summary = prepare(corpus, model)
    assert summary["emotion"] == load_emotion(model).name
    assert (summary["values"]["emotion"], summary["missing"]["emotion"]) == (6, {"no audio": 1})
    rows = read_table(corpus / "out").to_pylist()
    for name in SPEAKERS_HZ:
        mine = [dict(row["emotion"]) for row in rows if row["speaker"] == f"talk/{name}"]
        audio = Audio.read(corpus / "talk" / f"{name}.wav")
        turns = [audio.part(2 * i, 2 * i + 1.2) for i in range(3)]
        assert mine == [felt.probabilities for felt in here(model, *turns)]
    unheard = rows[-1]
    assert (unheard["speaker"], unheard["emotion"]) == ("talk/c", None)
    assert json.loads(unheard["missing"])["emotion"] == "no audio"
    assert emotions_in([corpus / "out"]) == list(LABELS)


def test_a_table_is_made_again_for_another_model_and_not_for_one_that_was_moved(
    model: Path, corpus: Path, tmp_path: Path
) -> None:
    prepare(corpus)
    assert "emotion" not in read_table(corpus / "out").column_names
    with pytest.raises(
        TableError, match=r"tells a turn's emotion\. Make them with: entrain prepare --emotion"
    ):
        emotions_in([corpus / "out"])
    assert prepare(corpus, model)["n_remade"] == 1
    moved = shutil.copytree(model, tmp_path / "moved")
    assert prepare(corpus, moved)["n_kept"] == 1
    config = json.loads((moved / "config.json").read_text())
    other = shutil.copytree(model, tmp_path / "other")
    (other / "config.json").write_text(json.dumps(config | {"temperature": 0.5}))
    assert prepare(corpus, other)["n_remade"] == 1
    assert prepare(corpus)["n_remade"] == 1


# --- the model of entrainment


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated talks; every third turn was not judged."""
    found = to_table(simulate(20, 12, COUPLINGS["strong"], seed=1))
    draw = np.random.default_rng(0).random(len(found)).tolist()
    cells = [[("angry", p), ("calm", 1 - p)] if i % 3 else None for i, p in enumerate(draw)]
    path = tmp_path_factory.mktemp("table") / "turns.parquet"
    felt = pa.array(cells, EMOTION)
    write_table([found.append_column(schema(emotion=True).field("emotion"), [felt])], path, emotion=True)
    return path


def test_train_reads_the_tables_emotions_and_what_it_learnt_works_where_none_are_known(
    table: Path, tmp_path: Path
) -> None:
    args = ["train", str(table), "--emotion", "--variant", "base", "--epochs", "1", "--set", "hidden=8"]
    found = CliRunner().invoke(app, [*args, "-o", str(tmp_path / "run")])
    assert found.exit_code == 0, found.output
    again = CliRunner().invoke(app, ["train", "--emotion", "--resume", str(tmp_path / "run")])
    assert "with --resume don't give emotion" in " ".join(again.stderr.split())
    strategy = Neural(tmp_path / "run")
    assert strategy.trained.model.config.emotion == ("angry", "calm")
    history = History("a")
    history.add(Turn(speaker="user", start_s=0, end_s=1, features=Features(rate_syll_s=4)))
    assert np.isfinite(strategy.predict(history, "Well.").z).all()


def test_where_no_table_tells_an_emotion_training_says_so(table: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(
        app, ["train", str(table), "--set", 'emotion=["sad"]', "-o", str(tmp_path / "run")]
    )
    assert found.exit_code == 2
    assert "has a probability of sad. Make the tables with entrain prepare --emotion" in " ".join(
        found.stderr.split()
    )
    write_table([read_table(table).drop_columns(["emotion"])], tmp_path / "plain.parquet")
    found = CliRunner().invoke(app, ["train", str(tmp_path / "plain.parquet"), "--emotion"])
    assert "tells a turn's emotion. Make them with: entrain prepare --emotion" in " ".join(
        found.stderr.split()
    )


def test_dialogues_have_the_emotions_that_are_asked_for(table: Path) -> None:
    words = Words.load()
    with_, without = (read_dialogues([table], words, emotion=labels) for labels in (["calm", "sad"], []))
    rows = read_table(table)["emotion"].to_pylist()
    told = np.concatenate([d.emotion for d in with_])
    expected = [[dict(cell)["calm"], 0, 1] if cell else [0, 0, 0] for cell in rows]
    np.testing.assert_allclose(told, expected, atol=1e-6)
    assert {d.emotion.shape[1] for d in without} == {0}
    batch = collate(all_sides(with_[:2]), words)
    assert batch.emotion.shape == (*batch.real.shape, 3)
    assert not batch.emotion[~batch.real].any()


# --- commands


def test_prepare_knows_before_it_measures_that_there_is_no_model(corpus: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["prepare", str(corpus), str(corpus / "out"), "--emotion", str(tmp_path)])
    assert found.exit_code == 2
    assert "holds no trained model of emotion" in " ".join(found.stderr.split())


def test_features_tells_the_probabilities_and_why_there_are_none(model: Path, tmp_path: Path) -> None:
    said, short = TURNS[0].write(tmp_path / "said.wav"), TURNS[0].part(0, 0.1).write(tmp_path / "short.wav")
    args = ["features", str(said), str(short), "--emotion", str(model)]
    rows = json.loads(CliRunner().invoke(app, [*args, "--json"]).stdout)
    assert rows[0]["emotion"] == here(model, Audio.read(said))[0].probabilities
    assert (rows[1]["emotion"], rows[1]["missing"]["emotion"]) == (None, "too short")
    shown = CliRunner().invoke(app, args, env={"COLUMNS": "200"}).stdout
    assert all(label in shown for label in LABELS)
    assert "emotion: too short" in " ".join(shown.split())


def test_converse_tells_the_emotions_in_table_record_and_report(model: Path, tmp_path: Path) -> None:
    files = [str(audio.write(tmp_path / f"{i}.wav")) for i, audio in enumerate(TURNS)]
    (tmp_path / "said.txt").write_text("one\ntwo\nthree")
    args = [
        "converse",
        *files,
        "--texts",
        str(tmp_path / "said.txt"),
        "--strategy",
        "neutral",
        "--emotion",
        str(model),
    ]
    found = CliRunner().invoke(app, [*args, "-o", str(tmp_path / "talk")], env={"COLUMNS": "200"})
    assert found.exit_code == 0, found.output
    assert all(f"{label} 100%" in found.stdout for label in LABELS), found.stdout
    turns = read_conversation(str(tmp_path / "talk" / "conversation.jsonl"))
    assert [likeliest(turn) for turn in turns if turn.speaker == "user"] == ["calm", "excited", "sad"]
    assert "Sounds excited" in (tmp_path / "talk" / "report.html").read_text()


def test_doctor_tries_the_model(model: Path, tmp_path: Path) -> None:
    assert _feel(model).endswith("calm, excited, sad")
    with pytest.raises(EmotionError):
        _feel(tmp_path)
