"""Splits: who is linked stays together, so nobody is heard both in training and in the test."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from simulated_runs import dialogue

from entrain_training.data import Dialogue
from entrain_training.split import PARTS, components, split


def talk(
    names: tuple[str, ...], id: str, corpus: str = "made", group: str = "", n_turns: int = 4
) -> Dialogue:
    speaker = [i % len(names) for i in range(max(n_turns, len(names)))]
    found = dialogue(speaker, np.ones((len(speaker), 7)), id=id, corpus=corpus, names=names)
    return Dialogue(**{**vars(found), "group": group})


def linked(a: Dialogue, b: Dialogue) -> bool:
    return a.corpus == b.corpus and bool({*a.names} & {*b.names} or (a.group and a.group == b.group))


people = st.lists(st.integers(0, 80).map(str), min_size=1, max_size=3, unique=True)
about = st.tuples(
    people, st.sampled_from(["", "", "", "", "g", "h"]), st.sampled_from("xy"), st.integers(1, 30)
)


def talks_of(at_least: int) -> st.SearchStrategy[list[Dialogue]]:
    return st.lists(about, min_size=at_least, max_size=30).map(
        lambda found: [talk(tuple(n), str(i), c, g, t) for i, (n, g, c, t) in enumerate(found)]
    )


@given(talks_of(1))
@settings(deadline=None)
def test_components_are_those_of_the_graph_of_links(dialogues: list[Dialogue]):
    n = len(dialogues)
    links = [(i, j) for i, j in combinations(range(n), 2) if linked(dialogues[i], dialogues[j])]
    rows, columns = np.array(links, int).reshape(-1, 2).T
    count, expected = connected_components(
        coo_array((np.ones(len(links)), (rows, columns)), (n, n)), directed=False
    )
    found = components(dialogues)
    assert len(set(found)) == count
    for i, j in combinations(range(n), 2):
        assert (found[i] == found[j]) == (expected[i] == expected[j])


@given(talks_of(12), st.integers(0, 9))
@settings(deadline=None)
def test_nobody_and_no_group_is_in_two_parts_and_every_conversation_in_one(
    dialogues: list[Dialogue], seed: int
):
    try:
        parts = split(dialogues, seed)
    except ValueError:
        assume(False)
        return
    ids = [d.id for part in parts.values() for d in part]
    assert sorted(ids) == sorted(d.id for d in dialogues)
    for a, b in combinations(PARTS, 2):
        assert not any(linked(x, y) for x in parts[a] for y in parts[b])


def test_a_third_conversation_links_two():
    dialogues = [talk(("a", "b"), "1"), talk(("c", "d"), "2"), talk(("b", "c"), "3"), talk(("e",), "4")]
    assert components(dialogues) == [0, 0, 0, 1]


def test_one_name_in_two_corpora_is_two_people():
    assert components([talk(("a", "b"), "1", "x"), talk(("a", "b"), "1", "y")]) == [0, 1]


def test_parts_have_their_shares_of_each_corpus():
    dialogues = [
        talk((f"{c}{i}", f"{c}{i}'"), str(i), c, n_turns=10 + i % 7) for c in "xy" for i in range(100)
    ]
    parts = split(dialogues, seed=3)
    for corpus in "xy":
        turns = {name: sum(len(d) for d in part if d.corpus == corpus) for name, part in parts.items()}
        for name, share in PARTS.items():
            assert turns[name] / sum(turns.values()) == pytest.approx(share, abs=0.02)


def test_a_seed_gives_a_split_and_another_another():
    dialogues = [talk((f"a{i}", f"b{i}"), str(i)) for i in range(40)]
    first, again, other = ([d.id for d in split(dialogues, seed)["test"]] for seed in (1, 1, 2))
    assert first == again != other


def test_a_corpus_that_is_one_component_is_for_the_test():
    linked_all = [talk(("hub", f"s{i}"), f"l{i}", "linked") for i in range(9)]
    free = [talk((f"a{i}", f"b{i}"), f"f{i}", "free") for i in range(20)]
    parts = split([*linked_all, *free])
    assert {d.id for d in linked_all} <= {d.id for d in parts["test"]}
    assert parts["train"]
    assert all(d.corpus == "free" for d in [*parts["train"], *parts["dev"]])


def test_where_nothing_is_left_to_train_on_or_judge_by_it_is_told():
    hub = [talk(("hub", f"s{i}"), str(i)) for i in range(9)]
    with pytest.raises(
        ValueError, match="nothing for train: the 9 conversations fall into 1 that share no speaker"
    ):
        split(hub)
    with pytest.raises(ValueError, match="nothing for dev"):
        split([talk(("a", "b"), "1"), talk(("c", "d"), "2")])
    with pytest.raises(ValueError, match="nothing for train"):
        split([])
