"""The filter is the optimum: it equals the conditional Gaussian worked out the long way, and its spread is true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow", reason="pip install 'entrain[train]'")

from entrain_training.coupling import COUPLINGS, Coupling, Simulated, manner, text_effect
from entrain_training.optimal import Predicted, Sees, losses, optimal, score, trivial
from entrain_training.simulate import fill, simulate


def conversation(speakers: list[int], texts: list[str], coupling: Coupling, seed: int = 0) -> Simulated:
    """Any turn structure, its speakers numbered as they appear."""
    z, valid = fill([str(s) for s in speakers], texts, coupling, seed)
    numbers = {s: i for i, s in enumerate(dict.fromkeys(speakers))}
    t = np.arange(len(speakers), dtype=float)
    return Simulated("x", np.array([numbers[s] for s in speakers]), z, valid, tuple(texts), t, t + 0.9)


@st.composite
def couplings(draw: st.DrawFn) -> Coupling:
    persistence = draw(st.floats(-0.9, 0.9))
    most = 0.95 - max(persistence, 0)
    offset = draw(st.floats(0, 0.9))
    return Coupling(
        persistence=persistence,
        synchrony=draw(st.floats(-most, most)) * 0.999,
        convergence=draw(st.floats(0, 0.95)),
        offset=offset,
        text=draw(st.floats(0, 0.95 - offset)) * 0.999,
        missing=draw(st.floats(0, 0.9)),
    )


def long_way(c: Simulated, coupling: Coupling, unheard: tuple[int, ...], sees: Sees) -> Predicted:
    """Means and spreads (T, 7) from the joint covariance of all turns, which is that of the simulation itself, column by column."""
    T, S = len(c.speaker), int(c.speaker.max()) + 1
    basis = np.eye(2 * S + T)  # habits, starts less habits, noise
    M = manner(c.speaker, basis[:S], basis[:S] + basis[S : 2 * S], basis[2 * S :], coupling)
    scale = np.repeat([coupling.offset, coupling.drift, coupling.noise], [S, S, T])
    joint = M * scale @ M.T  # (T, T), of u
    effect = text_effect(c.text, coupling)
    words = coupling.text if sees == "none" else 0.0
    y = c.z - (0.0 if sees == "none" else effect)
    mean, sd = np.zeros_like(c.z), np.zeros_like(c.z)
    for t in range(T):
        for f in range(7):
            k = [i for i in range(t) if c.valid[i, f] and c.speaker[i] not in unheard]
            weights = np.linalg.solve(joint[np.ix_(k, k)] + words * np.eye(len(k)), joint[k, t])
            mean[t, f] = weights @ y[k, f] + (effect[t, f] if sees == "reply" else 0.0)
            sd[t, f] = np.sqrt(
                joint[t, t] - weights @ joint[k, t] + (0.0 if sees == "reply" else coupling.text)
            )
    return Predicted(mean, sd)


@settings(max_examples=60, deadline=None)
@given(
    couplings(),
    st.lists(st.integers(0, 2), min_size=1, max_size=9),
    st.sampled_from([(), (0,), (1,), (0, 1)]),
    st.sampled_from(["reply", "past", "none"]),
    st.integers(0, 99),
)
def test_it_equals_the_conditional_gaussian_worked_out_the_long_way(
    coupling: Coupling, speakers: list[int], unheard: tuple[int, ...], sees: Sees, seed: int
):
    c = conversation(speakers, (["good people", "xylophones", "never"] * 3)[: len(speakers)], coupling, seed)
    found, truth = optimal([c], coupling, unheard=unheard, sees=sees)[0], long_way(c, coupling, unheard, sees)
    assert found.mean == pytest.approx(truth.mean, abs=1e-8)
    assert found.sd == pytest.approx(truth.sd, abs=1e-8)


@pytest.mark.parametrize("unheard", [(), (0,)])
@pytest.mark.parametrize("name", COUPLINGS)
def test_standardised_residuals_are_white_with_mean_0_and_variance_1(name: str, unheard: tuple[int, ...]):
    conversations = simulate(200, (20, 60), COUPLINGS[name], seed=5)  # 8,000 turns of 7 values
    every: list[np.ndarray] = []
    lagged: list[np.ndarray] = []
    predicted = optimal(conversations, COUPLINGS[name], unheard=unheard)
    for c, p in zip(conversations, predicted, strict=True):
        residual, heard = (c.z - p.mean) / p.sd, c.valid & ~np.isin(c.speaker, unheard)[:, None]
        every.append(residual)
        of_feature = [r[known] for r, known in zip(residual.T, heard.T, strict=True)]
        lagged += [r[1:] * r[:-1] for r in of_feature]  # each heard value by the one heard before it
    assert np.concatenate(every).mean() == pytest.approx(0, abs=0.02)
    assert np.concatenate(every).var() == pytest.approx(1, abs=0.02)
    assert np.concatenate(lagged).mean() == pytest.approx(0, abs=0.02)


def test_the_spread_is_true_from_the_first_turn_on():
    coupling = Coupling(persistence=0.8, synchrony=0.1, offset=0.5)
    conversations = simulate(1_500, 4, coupling, seed=13)
    predicted = optimal(conversations, coupling)
    residual = np.array([(c.z - p.mean) / p.sd for c, p in zip(conversations, predicted, strict=True)])
    assert residual.var(axis=(0, 2)) == pytest.approx([1, 1, 1, 1], abs=0.05)  # 10,500 values a turn


@pytest.mark.parametrize("unheard", [(), (1,)])
@pytest.mark.parametrize("name", COUPLINGS)
def test_it_beats_every_trivial_predictor_by_every_loss(name: str, unheard: tuple[int, ...]):
    conversations = simulate(60, 40, COUPLINGS[name], seed=6)
    predicted = optimal(conversations, COUPLINGS[name], unheard=unheard)
    best = losses(
        np.concatenate([c.z - p.mean for c, p in zip(conversations, predicted, strict=True)]),
        np.concatenate([p.sd for p in predicted]),
    )
    others = [trivial(c, unheard) for c in conversations]
    for rival in others[0]:
        error = [c.z - values[rival] for c, values in zip(conversations, others, strict=True)]
        for kind, loss in losses(np.concatenate(error)).items():
            assert best[kind] < loss, (rival, kind)


def test_to_see_more_texts_is_to_know_more():
    conversations = simulate(60, 40, COUPLINGS["strong"], seed=7)
    spread = {
        sees: np.mean([p.sd.mean() for p in optimal(conversations, COUPLINGS["strong"], sees=sees)])
        for sees in ("reply", "past", "none")
    }
    assert spread["reply"] < spread["past"] < spread["none"]


@pytest.mark.parametrize(("name", "listens"), [("none", False), ("moderate", True)])
def test_it_uses_the_partner_exactly_where_there_is_coupling(name: str, listens: bool):
    c = simulate(1, 30, COUPLINGS[name], seed=8)[0]
    partner = (c.speaker == 1)[:, None]
    changed = replace(c, z=np.where(partner, c.z + 3.0, c.z), valid=c.valid & ~partner | partner)
    before, after = (optimal([x], COUPLINGS[name])[0].mean[c.speaker == 0] for x in (c, changed))
    assert np.array_equal(before, after) != listens


def test_a_turn_and_what_follows_it_are_not_used_to_predict_it():
    c = simulate(1, 30, COUPLINGS["strong"], seed=9)[0]
    later = replace(c, z=np.where(np.arange(30)[:, None] >= 12, 9.0, c.z))
    before, after = (optimal([x], COUPLINGS["strong"])[0].mean for x in (c, later))
    assert np.array_equal(before[:13], after[:13])
    assert not np.allclose(before[13], after[13])


def test_a_conversation_among_others_is_predicted_as_if_alone():
    conversations = simulate(4, (3, 40), COUPLINGS["strong"], seed=10)
    together = optimal(conversations, COUPLINGS["strong"])
    for c, p in zip(conversations, together, strict=True):
        alone = optimal([c], COUPLINGS["strong"])[0]
        assert p.mean.shape == c.z.shape
        assert p.mean == pytest.approx(alone.mean, abs=1e-12)
        assert p.sd == pytest.approx(alone.sd, abs=1e-12)


def test_no_conversations_no_predictions():
    assert optimal([], COUPLINGS["strong"]) == []


@settings(max_examples=25, deadline=None)
@given(couplings(), st.integers(0, 99), st.sampled_from([(), (0,)]))
def test_long_conversations_stay_finite_under_any_coupling(
    coupling: Coupling, seed: int, unheard: tuple[int, ...]
):
    c = simulate(1, 300, coupling, seed)[0]
    p = optimal([c], coupling, unheard=unheard)[0]
    assert np.abs(c.z).max() < 30
    assert np.abs(p.mean).max() < 30
    assert p.sd.min() >= np.sqrt(coupling.noise) * (1 - 1e-6)
    assert p.sd.max() < 10


def test_scores_rank_predictors_by_what_they_hear():
    conversations = simulate(80, 40, COUPLINGS["strong"], seed=11)
    hearing, free = (score(conversations, COUPLINGS["strong"], hear_own=own) for own in (True, False))
    for kind in ("smooth L1", "MAE", "NLL"):
        assert hearing["optimal"][kind] < 0.95 * hearing["optimal, deaf to the partner"][kind]
        assert hearing["optimal"][kind] < free["optimal"][kind] < free["optimal, deaf to the partner"][kind]
    assert "own last" in hearing
    assert not any(name.startswith("own") for name in free)


def test_without_coupling_to_hear_the_partner_is_worth_nothing():
    conversations = simulate(10, 30, COUPLINGS["none"], seed=12)
    found = score(conversations, COUPLINGS["none"])
    assert found["optimal"] == pytest.approx(found["optimal, deaf to the partner"], abs=1e-12)


def test_trivial_predictors_by_hand():
    z = np.arange(1.0, 6.0)[:, None] * np.ones(7)
    valid = np.ones((5, 7), bool)
    valid[2] = False
    c = Simulated("x", np.array([0, 1, 0, 0, 1]), z, valid, ("",) * 5, np.arange(5.0), np.arange(5.0) + 0.9)
    found = {name: values[:, 0].tolist() for name, values in trivial(c).items()}
    assert found == {
        "0": [0, 0, 0, 0, 0],
        "own last": [0, 0, 1, 1, 2],
        "own mean": [0, 0, 1, 1, 2],
        "partner's last": [0, 1, 2, 2, 4],
        "partner's mean": [0, 1, 2, 2, 2.5],
    }
    assert not trivial(c, unheard=(0,))["own mean"][c.speaker == 0].any()


def test_losses_by_hand():
    found = losses(np.array([0.5, -2.0]), np.array([1.0, 2.0]))
    assert found["smooth L1"] == pytest.approx((0.125 + 1.5) / 2)
    assert found["MAE"] == pytest.approx(1.25)
    assert found["NLL"] == pytest.approx((0.125 + 0.5 + np.log(2)) / 2 + np.log(2 * np.pi) / 2)
