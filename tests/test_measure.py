"""Measures of entrainment: published figures, the published toolkits' faults, coupling that is there or not, real talk."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.measure import MEASURES, _views, measure
from entrain.series import (
    MeasureError,
    continuous,
    correlation,
    cross_correlation,
    moving_average,
    of_turns,
    read_table,
    units,
)
from entrain.turn import Features, Turn

A = units([(0, 4, 100.003), (8, 12, 200.002), (16, 24, 300.002), (28, 32, 100.003), (36, 40, 200.002), (44, 52, 300.002)])  # fmt: skip
B = units([(0, 8, 300.002), (12, 16, 200.002), (20, 24, 100.003), (28, 36, 300.002), (40, 44, 200.002), (48, 52, 100.003)])  # fmt: skip
ALTERNATING = [(3.0 * i, 3.0 * i + 2.5) for i in range(80)]  # two speakers in turn


def talk(seed: int, coupling: float = 0.0, n: int = 40, together: float = 0.0) -> dict[str, np.ndarray]:
    """Two speakers in turn; each follows the other's last turn by `coupling`, and their distance shrinks by `together`."""
    rng = np.random.default_rng(seed)
    last, turns = 0.0, []
    for i in range(2 * n):
        apart = 2 * (1 if i % 2 else -1) * (1 - together * i / (2 * n)) if together else 0.0
        value = coupling * last + rng.standard_normal() * (1 - 0.8 * together)
        last = value
        turns.append((3.0 * i, 3.0 * i + 2.5, value + apart))
    return {"a": units(turns[::2]), "b": units(turns[1::2])}


def one(name: str, *talks: dict[str, np.ndarray], draws: int = 199, seed: int = 0):
    return measure({str(i): talk for i, talk in enumerate(talks)}, [name], draws, seed)[0]


# --- Published figures ---------------------------------------------------------------------------------------------


def test_continuous_measures_as_published():
    found = continuous(A, B, k=4)
    assert found.proximity == pytest.approx(-0.011360997500560188, rel=1e-12)
    assert found.convergence == pytest.approx(0.00022443279925280575, rel=1e-10)
    assert found.synchrony == pytest.approx(-0.925558204113492, rel=1e-14)
    assert found.lags == pytest.approx(
        dict(zip(range(-15, 16, 5), [-.148716, -.646863, -.904547, -.925558, -.787593, -.411372, .264021], strict=True)), abs=5e-7)  # fmt: skip


def test_continuous_measures_with_oneself():
    found = continuous(A, A, k=4)
    assert (found.proximity, found.convergence) == (0.0, None)
    assert found.synchrony == pytest.approx(1)


def test_moving_average_as_published():
    a = moving_average(A)
    assert a == pytest.approx(
        [150.0025, 266.668667, 233.335667, 150.0025, 266.668667, 300.002, 300.002], abs=1e-6
    )
    found = cross_correlation(a, a, range(5))
    assert found[:4] == pytest.approx([1, 0.034231247, -0.238247676, 0.113874971], abs=5e-10)
    assert found[4] is None


def test_real_speech_as_published(data):
    """The quoted figures hold F0 to three decimals, and carry a fault: the last unit counts twice."""
    from parselmouth import Sound
    from parselmouth.praat import call

    def speaker(name: str, floor_hz: float, ceiling_hz: float) -> list[list[float]]:
        path = data / "two_channel" / f"examples_data_test-{name}"
        words = [line.split() for line in path.with_suffix(".words").read_text().splitlines()]
        spans: list[list[float]] = []
        for before, (start, end, word) in pairwise([["", "", "#"], *words]):
            if word != "#" and before[2] == "#":
                spans.append([float(start), float(end)])
            elif word != "#":
                spans[-1][1] = float(end)
        sound = Sound(str(path.with_suffix(".wav")))
        for span in spans:
            pitch = sound.extract_part(*span).to_pitch(None, floor_hz, ceiling_hz)
            span += [round(call(pitch, "Get maximum", 0, 0, "Hertz", "parabolic"), 3), round(call(pitch, "Get mean", 0, 0, "Hertz"), 3)]  # fmt: skip
        return spans

    a, b = speaker("A", 75, 500), speaker("B", 50, 300)
    assert a[0][2:] == [406.970, 150.078]
    assert b[0][2:] == [142.659, 118.065]
    twice = [units(row[:3] for row in [*rows, rows[-1]]) for rows in (a, b)]
    found = cross_correlation(*(moving_average(of, until_s=58) for of in twice))
    assert found[:5] == pytest.approx([-.00297885, -.40160211, -.58245462, -.25883681, .23560863], abs=5e-9)  # fmt: skip
    assert found[5] is None
    assert found[2] == pytest.approx(-0.5824546212515214, rel=1e-14)

    once, twice = (
        [units([*row[:2], row[3]] for row in rows + rows[-1:] * n) for rows in (a, b)] for n in (0, 1)
    )
    found = continuous(*twice, k=8)
    assert found.synchrony == pytest.approx(-0.8605306360595717, rel=1e-11)
    assert found.proximity == pytest.approx(-27.026408250655138, rel=1e-13)
    # Theirs takes the grid's last moment beyond the end for this one figure.
    assert found.convergence == pytest.approx(0.9321914512014148, rel=1e-7)
    assert continuous(*once, k=8).proximity == pytest.approx(-27.52148, abs=1e-5)  # without the fault


# --- The published toolkits' faults --------------------------------------------------------------------------------


def test_a_unit_at_0_counts_and_the_last_counts_once():
    assert moving_average(units([(0, 1, 5.0)])) == pytest.approx([5.0])
    assert moving_average(units([(0, 2, 1.0), (3, 5, 2.0)])) == pytest.approx([1.5])
    assert measure({"x": {"a": units([(0, 1, 0), (4, 5, 3)]), "b": units([(2, 3, 0), (6, 7, 0)])}}, ["global_proximity"])[0].value == -1.5  # fmt: skip


def test_a_constant_series_is_there_and_only_its_correlations_are_undefined():
    flat = units([*row[:2], 7.0] for row in A)
    assert moving_average(flat) == pytest.approx(np.full(7, 7.0))
    found = continuous(flat, B, k=4)
    assert found.proximity < -100
    assert found.synchrony is None
    by_name = {m.name: m for m in measure({"x": {"a": flat, "b": B}}, draws=50)}
    assert by_name["global_proximity"].value == pytest.approx(-(B[:, 2].mean() - 7))
    assert by_name["synchrony"].value is None
    assert by_name["synchrony"].within is None


@pytest.mark.parametrize("side", [0, 1])
def test_a_missing_value_on_either_side_is_a_pair_left_out(side):
    rng = np.random.default_rng(1)
    pair = [rng.standard_normal(12), rng.standard_normal(12)]
    whole = cross_correlation(pair[0], pair[1])
    pair[side][3] = np.nan
    found = cross_correlation(pair[0], pair[1])
    assert all(r is not None and abs(r - w) < 0.6 for r, w in zip(found, whole, strict=True))
    keep = np.arange(12) != 3
    assert correlation(*pair) == pytest.approx(np.corrcoef(pair[0][keep], pair[1][keep])[0, 1])


def test_missing_values_are_counted_and_nothing_is_nan():
    given_ = talk(3, n=12)
    given_["a"][2, 2] = np.nan
    found = measure({"x": given_, "y": talk(4, n=12)}, draws=30)
    assert {m.name for m in found} == set(MEASURES)
    for m in found:
        assert m.n_left_out == (2 if MEASURES[m.name].counts == "pairs" else 1)
        assert "NaN" not in m.model_dump_json()
        assert m.value is not None


# --- Properties ----------------------------------------------------------------------------------------------------

series = st.lists(st.one_of(st.none(), st.floats(-100, 100)), min_size=8, max_size=20)


def speakers(first: list[float | None], second: list[float | None]) -> dict[str, np.ndarray]:
    spans = ALTERNATING[: 2 * min(len(first), len(second))]
    return {
        "a": units((*span, v) for span, v in zip(spans[::2], first, strict=False)),
        "b": units((*span, v) for span, v in zip(spans[1::2], second, strict=False)),
    }


@settings(max_examples=30, deadline=None)
@given(series, series)
def test_symmetric_finite_and_bounded(first, second):
    one_way = speakers(first, second)
    try:
        found = measure({"x": one_way}, draws=9)
    except MeasureError:
        return
    other = {m.name: m.value for m in measure({"x": {"b": one_way["a"], "a": one_way["b"]}}, draws=1)}
    for m in found:
        assert m.within is None or 0 < m.within.p <= 1
        if m.name in ("global_proximity", "global_convergence", "local_convergence", "synchrony", "tama_synchrony",
                      "knn_synchrony", "knn_convergence"):  # fmt: skip
            assert m.value == (None if other[m.name] is None else pytest.approx(other[m.name], abs=1e-6))
    by_name = {m.name: m.value for m in found}
    assert other["moved_us"] == by_name["moved_partner"] or other["moved_us"] == pytest.approx(
        by_name["moved_partner"]
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 50), st.floats(-100, 100))
def test_what_is_a_correlation_or_in_z_is_affine_invariant(seed, factor, offset):
    before = talk(seed, coupling=0.4, n=15)
    after = {"a": before["a"], "b": before["b"] * [1, 1, factor] + [0, 0, offset]}
    for m, n in zip(*(measure({"x": t}, draws=1) for t in (before, after)), strict=True):
        if MEASURES[m.name].scale != "raw":
            assert n.value == pytest.approx(m.value, abs=1e-7)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-100, 100), min_size=8, max_size=8),
    st.lists(st.floats(-100, 100), min_size=8, max_size=8),
)
def test_continuous_is_symmetric_but_for_the_sign_of_the_lag(first, second):
    a, b = speakers(first, second).values()
    ab, ba = (continuous(*pair, k=3, step_s=0.1, lags_s=(-2.0, 0.0, 2.0)) for pair in ((a, b), (b, a)))
    assert ab.proximity == pytest.approx(ba.proximity)
    for lag_s, r in ab.lags.items():
        assert (r is None) == (ba.lags[-lag_s] is None)
        assert r is None or r == pytest.approx(ba.lags[-lag_s], abs=1e-6)


# --- Coupling that is there, and that is not -----------------------------------------------------------------------


def test_coupling_is_found():
    talks = [talk(seed, coupling=0.5) for seed in range(12)]
    for name in ("synchrony", "local_proximity", "knn_synchrony", "tama_synchrony", "recurrence_rate"):
        m = one(name, *talks, draws=499)
        assert m.within is not None
        assert m.between is not None
        assert m.value > m.within.mean, name
        assert m.within.p < 0.01, name
        assert m.between.p < 0.01, name


def test_coming_together_is_found():
    talks = [talk(seed, together=0.9) for seed in range(6)]
    for name in ("global_convergence", "local_convergence"):
        m = one(name, *talks, draws=499)
        assert m.value > m.between.mean
        assert m.within.p < 0.01


def test_partners_who_are_alike_are_nearer_than_strangers():
    rng = np.random.default_rng(0)
    talks = [
        {s: of + np.array([0, 0, shift]) for s, of in talk(i).items()}
        for i, shift in enumerate(rng.normal(0, 2, 8))
    ]
    m = one("global_proximity", *talks, draws=499)
    assert m.within is None  # session means know no order
    assert m.value > m.between.mean
    assert m.between.p < 0.01


def test_who_moved_is_told():
    """b comes to where a just was; a does as it likes."""
    rng, talks = np.random.default_rng(5), []
    for _ in range(6):
        a = rng.standard_normal(40)
        talks.append(speakers(list(a), list(a + 0.3 * rng.standard_normal(40))))
    us, partner = (one(name, *talks, draws=499) for name in ("moved_us", "moved_partner"))
    assert partner.value > partner.within.mean + 0.3
    assert partner.within.p < 0.01
    assert us.value < 0 < partner.value


@pytest.mark.parametrize("name", ["synchrony", "local_proximity", "local_convergence", "determinism"])
def test_where_there_is_no_coupling_p_is_uniform(name):
    found = [one(name, *(talk(1000 * i + s) for i in range(5)), draws=99, seed=s) for s in range(80)]
    for ps in ([m.within.p for m in found], [m.between.p for m in found]):
        assert sum(p <= 0.05 for p in ps) <= 11  # of 80; 4 expected, 11 in a thousandth of cases
        assert 0.37 < np.mean(ps) < 0.63


def test_the_same_seed_gives_the_same_p():
    talks = {"x": talk(1), "y": talk(2)}
    assert measure(talks, draws=50, seed=7) == measure(talks, draws=50, seed=7)
    assert measure(talks, draws=50, seed=7) != measure(talks, draws=50, seed=8)


def test_of_more_than_two_speakers_an_exchange_counts_once():
    a, b, c = (
        units([(t, t + 1, v) for t, v in of]) for of in ([(0, 1), (6, 2)], [(2, 1), (8, 3)], [(4, 5), (9, 0)])
    )
    (m,) = measure({"x": {"a": a, "b": b, "c": c}}, ["local_convergence"], draws=3)
    assert m.n_left_out == 0
    assert [v.pairs[:, :2].tolist() for v in _views("x", {"a": a, "b": b, "c": c})] == [[[0, 0], [1, 1]], [[1, 0]], [[0, 0], [1, 1]]]  # fmt: skip


# --- Reading, and what can be mended -------------------------------------------------------------------------------


def test_turns_of_a_conversation_and_the_agent_is_us():
    turns = [
        Turn(speaker="user" if i % 2 == 0 else "agent", start_s=2.0 * i, end_s=2.0 * i + 1, features=Features(rate_syll_s=None if i == 4 else 4.0 + i % 3))
        for i in range(12)
    ]  # fmt: skip
    found = of_turns(turns, "rate_syll_s")
    assert found["agent"].shape == found["user"].shape == (6, 3)
    assert np.isnan(found["user"][2, 2])
    assert measure({"x": found}, ["synchrony"], draws=5)[0].n_left_out == 2
    with pytest.raises(MeasureError, match="Select one of f0_mean_st"):
        of_turns(turns, "pitch")


def test_a_table_is_read_and_its_faults_are_told(tmp_path):
    path = tmp_path / "turns.csv"
    head = "conv,speaker,start,end,n_words,rate\n"
    path.write_text(head + "c,x,4,5,3,\nc,x,0,1,3,4.5\nc,y,2,3,1,9\nc,y,2,3,5,5\n")
    found = read_table(path)["c"]
    assert found["x"][:, 0].tolist() == [0, 4]
    assert found["y"][:, 2].tolist() == [5]
    assert len(read_table(path, min_words=0)["c"]["y"]) == 2
    with pytest.raises(MeasureError, match="no column 'pitch'; it has conv"):
        read_table(path, "pitch")
    path.write_text(head + "c,x,4,5,3,fast\n")
    with pytest.raises(MeasureError, match="line 2"):
        read_table(path)


def test_what_cannot_be_measured_is_told():
    with pytest.raises(MeasureError, match="two speakers"):
        measure({"x": {"a": A}})
    with pytest.raises(MeasureError, match="Select from global_proximity"):
        measure({"x": {"a": A, "b": B}}, ["telepathy"])
    with pytest.raises(MeasureError, match="smaller k"):
        continuous(A, B, k=9)
    with pytest.raises(MeasureError, match="no time in common"):
        continuous(A, A + np.array([100, 100, 0]), k=4)
    with pytest.raises(MeasureError, match="same `until_s`"):
        cross_correlation(np.ones(5), np.ones(6))
    with pytest.raises(MeasureError, match="no start or end"):
        units([(None, 1, 2.0)])


# --- Real talk -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("corpus", "r", "p"), [("ami", 0.031, 0.01), ("spjallromur", 0.037, 0.05), ("primock57", 0.030, 0.15)])  # fmt: skip
def test_rates_move_together_a_little_in_real_talk(data, corpus, r, p):
    talks = read_table(data / "conversations" / f"{corpus}.csv.gz")
    (found,) = measure(talks, ["synchrony"], draws=199)
    assert found.value == pytest.approx(r, abs=0.003)
    assert abs(found.within.mean) < 0.005
    assert found.within.p <= p
    assert found.between.p <= p
