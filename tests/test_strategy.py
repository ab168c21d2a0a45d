"""The strategies: known values, no negative weight, and errors that list the choices."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrain.history import History
from entrain.strategy import STRATEGIES, Matching, Neutral, Strategy, Weighted, WizardOfOz, load_strategy
from entrain.turn import FEATURES, Features, Turn

PITCH, RATE = FEATURES.index("f0_mean_st"), FEATURES.index("rate_syll_s")
USER = [164.0, 127.0, 133.0, 125.0, 117.0, 139.0, 107.0, 99.0, 108.0, 110.0]
KNOWN = [129.0, 137.7, 142.346154, 130.277828, 120.225339, 141.064217, 108.361316, 99.916711, 108.626832,
         110.433639]  # fmt: skip

weight = st.floats(0, 2)


def user_turns(*heard: Features) -> History:
    history = History("a")
    for i, features in enumerate(heard):
        history.add(Turn(speaker="user", start_s=2 * i, end_s=2 * i + 1, features=features))
        history.add(Turn(speaker="agent", start_s=2 * i + 1, end_s=2 * i + 2))
    return history


def test_weighted_gives_the_known_values() -> None:
    aims = Weighted(0.3, 0.2, 0.1, 0.3).series(USER, default=94)
    assert [round(aim, 6) for aim in aims[:9]] == KNOWN[:9]
    assert aims[9] == pytest.approx(KNOWN[9], abs=1e-6)  # printed …639; in exact fractions it is …63990


@given(
    weight,
    weight,
    weight,
    weight,
    st.lists(st.floats(-100, 100), min_size=1, max_size=12),
    st.floats(-100, 100),
)
def test_each_weighted_aim_lies_between_the_default_the_balance_and_the_last_turn(
    of_global: float, of_local: float, more_global: float, more_local: float, user: list[float], default: float
) -> None:  # fmt: skip
    """So no weight is ever negative, nor do they add up to more than 1."""
    aims = Weighted(of_global, of_local, more_global, more_local).series(user, default)
    for i, aim in enumerate(aims):
        parts = (default, sum(user[: i + 1]) - sum(aims[:i]), user[i])
        slack = 1e-6 * (1 + max(map(abs, parts)))
        assert min(parts) - slack <= aim <= max(parts) + slack


def test_weights_above_one_leave_nothing_of_the_default_and_do_not_turn_it_negative() -> None:
    strong = Weighted(0.9, 0.6, 0, 0)
    assert strong.series([120.0], default=0) == pytest.approx(strong.series([120.0], default=1e6))
    assert strong.series([120.0], default=94) == pytest.approx([120.0])  # published code gave 170.6


def test_without_convergence_the_mean_aim_becomes_the_users_mean() -> None:
    aims = Weighted(0.3, 0.2, 0, 0).series([1.0] * 400)
    assert np.mean(aims) == pytest.approx(1, abs=0.01)
    assert aims[-1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("part", ["global_weight", "local_weight", "global_convergence", "local_convergence"])
@pytest.mark.parametrize("value", [-0.1, 11.0, float("nan"), float("inf")])
def test_a_weight_out_of_bounds_is_named(part: str, value: float) -> None:
    with pytest.raises(ValueError, match=part):
        Weighted(**{part: value})


def test_weighted_predicts_from_the_users_z_alone() -> None:
    history = user_turns(Features(rate_syll_s=6.0), Features(rate_syll_s=5.0))
    z = [turn.z[RATE] for turn in history.by("user")]
    assert Weighted().predict(history, "").z[RATE] == Weighted().series([v for v in z if v is not None])[-1]


def test_weighted_plans_at_once_after_a_thousand_turns() -> None:
    turns = [Features(f0_mean_st=i % 5, rate_syll_s=4 + i % 3, level_db=-20 - i % 4) for i in range(1_000)]
    history = user_turns(*turns)
    start_s = time.process_time()
    Weighted().predict(history, "")
    assert time.process_time() - start_s < 0.1


def test_neutral_predicts_nothing() -> None:
    prediction = Neutral().predict(user_turns(Features(rate_syll_s=9.0)), "hello")
    assert not prediction.confidence.any()
    assert not prediction.z.any()


def test_matching_is_the_users_last_z() -> None:
    history = user_turns(Features(f0_mean_st=4.0), Features(f0_mean_st=6.0))
    prediction = Matching().predict(history, "")
    assert prediction.z[PITCH] == history.by("user")[-1].z[PITCH]
    assert prediction.confidence[PITCH] == 1


def test_matching_trusts_an_older_value_half_as_much_for_each_turn_since() -> None:
    history = user_turns(Features(f0_mean_st=4.0), Features(), Features(level_db=-20.0))
    prediction = Matching().predict(history, "")
    assert prediction.z[PITCH] == history.by("user")[0].z[PITCH]
    assert prediction.confidence[PITCH] == 0.25


def test_matching_forgets_what_is_eight_turns_old() -> None:
    history = user_turns(Features(f0_mean_st=4.0), *[Features()] * 8)
    assert not Matching().predict(history, "").confidence.any()


def test_a_rate_from_syllable_nuclei_is_trusted_half_as_much() -> None:
    history = user_turns(Features(rate_syll_s=5.0, rate_source="nuclei", f0_mean_st=2.0))
    confidence = Matching().predict(history, "").confidence
    assert (confidence[RATE], confidence[PITCH]) == (0.5, 1.0)


def test_the_wizards_aims_hold_until_changed_or_cleared() -> None:
    wizard, history = WizardOfOz(), user_turns(Features(f0_mean_st=9.0))
    wizard.set(f0_mean_st=-1, rate_syll_s=0.5)
    wizard.set(rate_syll_s=0)
    for _ in range(2):
        prediction = wizard.predict(history, "")
        assert (prediction.z[PITCH], prediction.z[RATE]) == (-1, 0)
        assert prediction.confidence.sum() == 2
    wizard.clear()
    assert not wizard.predict(history, "").confidence.any()


def test_the_wizard_is_told_which_features_there_are() -> None:
    with pytest.raises(ValueError, match=r"no feature pitch\. Select from f0_mean_st, .*nhr"):
        WizardOfOz().set(pitch=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_wizard_may_not_aim_at_what_is_no_number(value: float) -> None:
    wizard = WizardOfOz()
    with pytest.raises(ValueError, match="f0_mean_st"):
        wizard.set(rate_syll_s=1, f0_mean_st=value)
    assert wizard.aims == {}


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_strategy_has_its_name_and_bears_an_empty_history(name: str) -> None:
    strategy: Strategy = load_strategy(name)
    assert strategy.name == name
    prediction = strategy.predict(History("a"), "hello")
    assert prediction.z.shape == prediction.confidence.shape == (7,)
    assert not prediction.confidence.any()


def test_an_unknown_strategy_lists_the_choices() -> None:
    with pytest.raises(
        ValueError, match=r"'copy'. Select one of neural, neutral, matching, weighted, wizard"
    ):
        load_strategy("copy")
