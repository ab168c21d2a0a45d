"""The history: turns in order, z settled once, bounded memory, and JSON that holds all of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrain import history as module
from entrain.emotion import Manner
from entrain.history import MAX_TURNS, History, HistoryError
from entrain.turn import FEATURES, Features, Turn, Word

number = st.floats(-1e6, 1e6)
features = st.builds(
    Features, **dict.fromkeys(FEATURES, st.none() | number), missing=st.dictionaries(st.text(), st.text())
)
words = st.builds(Word, text=st.text(), start_s=st.none() | number, end_s=st.none() | number)
any_turn = st.builds(
    Turn,
    speaker=st.sampled_from(["user", "agent"]),
    start_s=number,
    end_s=number,
    text=st.text(st.characters()),  # half characters too: a host's text may hold anything
    words=st.lists(words, max_size=3).map(tuple),
    features=features,
    plan=st.none() | st.dictionaries(st.text(), st.none() | number, max_size=3),
    emotion=st.none() | st.dictionaries(st.text(), st.floats(0, 1), max_size=3),
)


def turn(speaker: str = "user", start_s: float = 0.0, end_s: float = 1.0, **values: Any) -> Turn:
    return Turn.model_validate(
        {"speaker": speaker, "start_s": start_s, "end_s": end_s, "features": Features(**values)}
    )


def exported(history: History) -> dict[str, Any]:
    return json.loads(history.to_json())


def test_turns_stay_in_the_order_they_came() -> None:
    history = History("a")
    for i in range(5):
        history.add(turn("user" if i % 2 else "agent", start_s=i))
    assert [each.start_s for each in history.turns] == [0, 1, 2, 3, 4]
    assert [each.start_s for each in history.by("user")] == [1, 3]
    assert len(history) == 5


def test_latency_is_from_the_end_of_the_others_last_turn() -> None:
    history = History("a")
    history.add(turn("user", 0, 2))
    history.add(turn("agent", 2.5, 4))
    history.add(turn("agent", 4, 5))
    history.add(turn("user", 4.75, 6))
    assert [each.latency_s for each in history.turns] == [None, 0.5, 2.0, -0.25]


def test_z_is_settled_when_the_turn_is_added_and_knows_that_turn() -> None:
    history = History("a")
    added = history.add(turn(rate_syll_s=6.0))
    normalizer = history.user
    history.add(turn(rate_syll_s=2.0))
    expected, _ = normalizer.z(Features(rate_syll_s=6.0))
    assert added.z[3] == expected[3]
    assert history.turns[0] == added
    assert added.z[:3] == (None, None, None)


def test_each_speaker_has_a_normaliser_of_their_own() -> None:
    history = History("a")
    agent = history.agent
    history.add(turn("user", rate_syll_s=6.0))
    assert history.agent == agent
    assert history.user.n[3] == 1


def test_arrays_have_a_row_a_turn_and_zero_where_masked() -> None:
    history = History("a")
    history.add(turn("user", rate_syll_s=6.0))
    history.add(turn("agent", level_db=-20.0, rate_syll_s=5.0))
    z, valid, agent = history.arrays()
    assert z.shape == valid.shape == (2, 7)
    assert valid.sum(axis=1).tolist() == [1, 2]
    assert not z[~valid].any()
    assert z.dtype == np.float32
    assert agent.tolist() == [False, True]


@pytest.mark.parametrize(("last", "n"), [(None, 3), (0, 0), (2, 2), (9, 3)])
def test_arrays_of_the_latest_turns(last: int | None, n: int) -> None:
    history = History("a")
    for i in range(3):
        history.add(turn(rate_syll_s=4.0 + i))
    z, valid, agent = history.arrays(last)
    assert len(z) == len(valid) == len(agent) == n
    assert z.shape == (n, 7)


def test_memory_is_bounded_and_the_count_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TURNS", 10)
    history = History("a")
    for i in range(25):
        history.add(turn(start_s=i))
    assert len(history) == 25
    assert [each.start_s for each in history.turns] == list(range(15, 25))
    copy = History.from_json(history.to_json())
    assert (len(copy), copy.n_forgotten) == (25, 15)


@given(st.lists(any_turn, max_size=5))
def test_any_turns_survive_the_round_trip(turns: list[Turn]) -> None:
    history = History("a")
    for each in turns:
        history.add(each)
    copy = History.from_json(history.to_json())
    assert copy.turns == history.turns
    assert (copy.id, copy.user, copy.agent) == (history.id, history.user, history.agent)
    assert exported(copy) == exported(history)


def test_more_turns_than_memory_holds_are_imported_whole() -> None:
    history = History("a")
    turns = [turn(start_s=i) for i in range(MAX_TURNS + 50)]
    copy = History.from_json(history.to_json(turns))
    assert copy.turns == turns
    copy.add(turn(start_s=9e9))
    assert len(copy) == len(turns) + 1
    assert len(copy.turns) == MAX_TURNS


def test_an_import_goes_on_exactly_where_the_export_stopped() -> None:
    whole, part = History("a"), History("a")
    for rate in (4.0, 5.5, 6.1):
        whole.add(turn(rate_syll_s=rate, f0_mean_st=rate))
        part.add(turn(rate_syll_s=rate, f0_mean_st=rate))
    part = History.from_json(part.to_json())
    assert part.add(turn(rate_syll_s=4.4)) == whole.add(turn(rate_syll_s=4.4))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '"turns"', "{}", '{"turns": 3}', '{"turns": []}', "[" * 100_000]
)
def test_other_text_is_a_history_error(text: str) -> None:
    with pytest.raises(HistoryError):
        History.from_json(text)


def test_a_newer_schema_says_so_even_when_its_turns_look_different() -> None:
    record = exported(History("kiosk")) | {"schema": "entrain-2", "turns": [{"new": 1}]}
    with pytest.raises(HistoryError, match=r"'kiosk' has schema 'entrain-2'.*Upgrade"):
        History.from_json(json.dumps(record))


@pytest.mark.parametrize(
    "damage",
    [{"start_s": None}, {"speaker": "nobody"}, {"start_s": float("nan")}, {"z": [1.0]}, {"more": 1}],
)
def test_a_damaged_turn_is_a_history_error(damage: dict[str, Any]) -> None:
    history = History("a")
    history.add(turn())
    record = exported(history)
    record["turns"][0] |= damage
    with pytest.raises(HistoryError):
        History.from_json(json.dumps(record))


def test_damaged_speakers_are_a_history_error() -> None:
    record = exported(History("a"))
    record["user"]["mean"] = [1.0]
    with pytest.raises(HistoryError, match="damaged"):
        History.from_json(json.dumps(record))


# --- emotion ----------------------------------------------------------------------------------------------------------


def test_manners_travel_with_the_history_and_without_any_it_is_as_it_was() -> None:
    history = History("a")
    assert "manners" not in history.state()
    assert History.from_json(history.to_json()).manners == {}
    history.manners["user"] = Manner(n=3, mean=(0.5, -2.0), m2=(1.0, 0.25))
    assert History.from_json(history.to_json()).manners == history.manners


def test_a_turn_of_before_there_were_emotions_is_read() -> None:
    old = turn().model_dump(mode="json")
    del old["emotion"]
    assert Turn.model_validate(old).emotion is None


@pytest.mark.parametrize("manners", [{"user": {"n": "many"}}, {"dog": {}}, [1]])
def test_damaged_manners_are_a_history_error(manners: Any) -> None:
    with pytest.raises(HistoryError, match="damaged"):
        History.from_json(json.dumps(exported(History("a")) | {"manners": manners}))
