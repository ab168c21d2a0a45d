"""The model as a strategy: encoded once, the same as from scratch, and confident only where it has learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.history import History
from entrain.model import MEL_BANDS, Model, ModelConfig, context_of, emotion_of, shape_of
from entrain.neural import Neural, surer
from entrain.strategy import Explains, Strategy, Weighted, load_strategy
from entrain.turn import FEATURES, Features, Turn
from entrain.weights import Trained, WeightsError
from entrain.words import Words, kept_tokens
from entrain_training.data import Dialogue, Side, collate

TEXTS = ("", "Hello there.", "I see, and what did they do about it then?", "Mm-hmm", "日本語", "no " * 100)
LEARNT = dict.fromkeys(FEATURES, "real")


@pytest.fixture(scope="module")
def words() -> Words:
    return Words.load()


def trained(
    words: Words, variant: str = "words-lookahead", emotion: tuple[str, ...] = (), **more: object
) -> Trained:
    torch.manual_seed(1)
    config = ModelConfig.of(variant, hidden=16, word_hidden=8, vocabulary=words.id, emotion=emotion)
    return Trained(Model(config).eval(), **({"learnt": LEARNT} | more))


def turn(n: int, speaker: str | None = None) -> Turn:
    rng = np.random.default_rng(n)
    seen = {
        name: float(v) for name, v in zip(FEATURES, rng.normal(3, 1, 7), strict=True) if rng.random() < 0.8
    }
    return Turn(
        speaker=speaker or ("user", "agent")[n % 2], start_s=3.0 * n, end_s=3.0 * n + rng.uniform(0.5, 4),
        text=TEXTS[n % len(TEXTS)], features=Features(duration_s=2.0, speech_s=1.5, **seen),
    )  # fmt: skip


def talk(n_turns: int) -> History:
    history = History("a")
    for n in range(n_turns):
        history.add(turn(n))
    return history


def test_it_is_a_strategy_that_explains_itself(words: Words) -> None:
    strategy: Strategy = Neural(trained(words), words)
    assert strategy.name == "neural"
    assert isinstance(strategy, Explains)


@pytest.mark.parametrize("variant", ["base", "words", "words-lookahead", "dual", "partner", "none"])
@pytest.mark.parametrize("anchor", ["sentence", "voice"])
def test_turn_by_turn_is_as_from_scratch(words: Words, variant: str, anchor) -> None:
    live = Neural(trained(words, variant), words, anchor=anchor)
    history = History("a")
    for n in range(9):
        history.add(turn(n))
        at_once = Neural(live.trained, words, anchor=anchor).predict(history, "We open at nine.")
        step_by_step = live.predict(history, "We open at nine.")
        np.testing.assert_allclose(step_by_step.z, at_once.z, atol=1e-6)
        np.testing.assert_allclose(step_by_step.confidence, at_once.confidence, atol=1e-6)


def test_it_is_what_the_whole_conversation_gives(words: Words) -> None:
    """Against `forward`, through the table that training reads."""
    net, history = trained(words), talk(8)
    batch = collate([Side(as_dialogue(history, "So we go on."), us=1)], words)
    found, _ = Neural(net, words, anchor="voice").foresee(history, "So we go on.")
    np.testing.assert_allclose(found, net.model(batch).location[0, 8].detach().numpy(), atol=1e-5)


def as_dialogue(history: History, reply: str) -> Dialogue:
    """The conversation and one more turn of the agent's, of which only the text counts."""
    z, valid, agent = history.arrays()
    turns = history.turns
    texts = [*(t.text for t in turns), reply]
    found = [words_of(text) for text in texts]
    context = [
        context_of(t.features.duration_s, t.features.pause_ratio, t.latency_s, (t.latency_s or 0) < 0)
        for t in turns
    ]
    blank = np.zeros((1, 7), np.float32)
    return Dialogue(
        corpus="", id="", group="", names=("user", "agent"), speaker=np.array([*agent, True]).astype(int),
        z=np.vstack([z, blank]), valid=np.vstack([valid, blank > 0]), target=np.vstack([z, blank]),
        context=np.array([*context, (0.0,) * 4], np.float32),
        emotion=np.zeros((len(texts), 0), np.float32), shape=np.array([shape_of(text) for text in texts], np.float32),
        rows=np.concatenate([r for r, _ in found]), forms=np.concatenate([f for _, f in found]),
        n_words=np.array([len(r) for r, _ in found]), mel=np.zeros((0, MEL_BANDS), np.float16),
        n_mel=np.zeros(len(texts), int), texts=tuple(texts), start_s=np.arange(len(texts), dtype=float),
    )  # fmt: skip


def words_of(text: str):
    return Words.load().find(text)


def test_nothing_is_encoded_twice(words: Words) -> None:
    strategy, seen, read = Neural(trained(words), words), [], []
    strategy.trained.model.feature_encoder.register_forward_hook(lambda *_: seen.append(1))
    history = talk(6)
    strategy.trained.model.word_encoder.rnn.register_forward_hook(lambda *_: read.append(1))
    strategy.predict(history, "One.")
    first, first_read = len(seen), len(read)
    assert first_read == 6 + 1  # each turn's words once, and the reply's
    strategy.predict(history, "Two.")
    assert len(seen) == first  # a plan encodes no turn
    history.add(turn(6))
    strategy.predict(history, "Three.")
    assert len(seen) - first == 1  # one turn, as heard and as usual at once
    assert len(read) - first_read == 1 + 2  # two replies, one turn


@given(st.integers(0, 12), st.integers(0, 12))
@settings(max_examples=6, deadline=None)
def test_conversations_do_not_mix(words: Words, a: int, b: int) -> None:
    strategy = Neural(trained(words), words)
    one, two = talk(a), talk(b)
    for _ in range(2):
        for history in (one, two):
            z = strategy.predict(history, "Well then.").z
            np.testing.assert_allclose(
                z, Neural(strategy.trained, words).predict(history, "Well then.").z, atol=1e-6
            )


def test_a_conversation_longer_than_memory_goes_on(words: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, history, never_forgotten = Neural(trained(words), words), History("long"), talk(20)
    monkeypatch.setattr("entrain.history.MAX_TURNS", 12)
    for n in range(20):
        history.add(turn(n))
        strategy.predict(history, "Yes.")
    assert history.n_forgotten == 8
    whole = Neural(strategy.trained, words).foresee(never_forgotten, "Yes.")  # all was encoded in its time
    np.testing.assert_allclose(strategy.foresee(history, "Yes."), whole, atol=1e-6)
    assert np.isfinite(Neural(strategy.trained, words).predict(history, "Yes.").z).all()


def test_a_conversation_begun_anew_is_not_the_old_one(words: Words) -> None:
    strategy, history = Neural(trained(words), words), talk(6)
    strategy.predict(history, "Yes.")
    del history.turns[2:]
    fresh = Neural(strategy.trained, words).predict(history, "Yes.").z
    np.testing.assert_allclose(strategy.predict(history, "Yes.").z, fresh, atol=1e-6)


def test_what_was_not_learnt_is_left_to_the_other_strategy(words: Words) -> None:
    learnt = LEARNT | {"f0_mean_st": "no", "nhr": "no"}
    strategy, history = Neural(trained(words, learnt=learnt, scales=((2.0, 9.0),) * 7), words), talk(7)
    location, trust = strategy.foresee(history, "Hello.")
    assert [trust[FEATURES.index(name)] for name in ("f0_mean_st", "nhr")] == [0, 0]
    assert (trust[1:6] > 2 / 3).all()  # its scale is below 2, as a third of them are
    simple, both = Weighted().predict(history, "Hello."), strategy.predict(history, "Hello.")
    assert both.z[0] == simple.z[0]
    assert both.confidence[0] == simple.confidence[0]
    np.testing.assert_allclose(both.z, trust * location + (1 - trust) * simple.z)
    assert (both.confidence >= simple.confidence).all()
    assert (both.confidence <= 1).all()


def test_of_a_user_who_was_not_heard_nothing_is_foreseen(words: Words) -> None:
    strategy, history = Neural(trained(words), words), History("silent")
    history.add(turn(0, "user").model_copy(update={"features": Features()}))
    history.add(turn(1, "agent"))
    assert not strategy.predict(history, "Hello.").confidence.any()


def test_without_confidence_it_is_the_other_strategy(words: Words) -> None:
    strategy, history = Neural(trained(words, scales=((1e-6,),) * 7), words), talk(5)
    np.testing.assert_array_equal(strategy.predict(history, "Hm.").z, Weighted().predict(history, "Hm.").z)


@given(st.lists(st.floats(0.1, 3), min_size=1, max_size=9), st.floats(0.01, 10), st.floats(0.01, 10))
def test_the_smaller_the_scale_the_surer(usually: list[float], one: float, other: float) -> None:
    usually = sorted(usually)
    shares = [surer(scale, usually) for scale in sorted((one, other))]
    assert 1 >= shares[0] >= shares[1] >= 0
    assert surer(1e-12, usually) == pytest.approx(1)
    assert surer(100.0, usually) == 0


def test_the_share_is_of_scales_that_are_larger() -> None:
    scales = np.random.default_rng(0).gamma(4, 0.2, 20_000)
    deciles = np.quantile(scales, np.arange(1, 10) / 10).tolist()
    for scale in np.quantile(scales, [0.2, 0.33, 0.5, 0.77]):
        assert surer(scale, deciles) == pytest.approx((scales > scale).mean(), abs=0.01)


def test_turns_as_usual_move_nothing(words: Words) -> None:
    """With the anchor "sentence" only what departs from the usual counts, whatever the words."""
    strategy, history = Neural(trained(words), words), History("flat")
    for n in range(6):
        history.turns.append(turn(n).model_copy(update={"z": (0.0,) * 7}))
    for text in TEXTS:
        np.testing.assert_array_equal(strategy.foresee(history, text)[0], np.zeros(7))


# --- emotion


@pytest.mark.parametrize("emotion", [(), ("calm", "angry")])
def test_an_emotion_moves_the_reply_where_the_model_knows_it(words: Words, emotion) -> None:
    """Without labels all is as it was, to the bit; so it is where no turn was judged, or as something else."""
    strategy, plain = Neural(trained(words, emotion=emotion), words), talk(5)
    before = strategy.predict(plain, "So we go on.")
    found = {}
    for label in ("angry", "zeal"):
        judged = History("b")
        for n in range(5):
            judged.add(turn(n).model_copy(update={"emotion": {label: 0.9}}))
        found[label] = strategy.predict(judged, "So we go on.").z
    assert np.array_equal(found["zeal"], before.z)
    assert np.array_equal(found["angry"], before.z) == (not emotion)


def test_an_emotion_is_read_live_as_in_the_table(words: Words) -> None:
    labels = ("angry", "calm")
    net, history = trained(words, emotion=labels), History("a")
    for n in range(6):
        emotion = {"calm": 0.1 * n, "angry": 1 - 0.1 * n} if n % 3 else None
        history.add(turn(n).model_copy(update={"emotion": emotion}))
    table = as_dialogue(history, "So we go on.")
    rows = [emotion_of(t.emotion, labels) for t in history.turns] + [(0.0,) * 3]
    batch = collate([Side(replace(table, emotion=np.array(rows, np.float32)), us=1)], words)
    found, _ = Neural(net, words, anchor="voice").foresee(history, "So we go on.")
    np.testing.assert_allclose(found, net.model(batch).location[0, 6].detach().numpy(), atol=1e-5)


def test_what_ships_looks_at_no_emotion(words: Words) -> None:
    shipped = Trained.load()
    assert shipped.model.config.emotion == ()
    judged = History("b")
    for n in range(4):
        judged.add(turn(n).model_copy(update={"emotion": {"angry": 1.0}}))
    strategy = Neural(shipped, words)
    one, other = (strategy.predict(h, "We open at nine.") for h in (talk(4), judged))
    assert np.array_equal(one.z, other.z)
    assert np.array_equal(one.confidence, other.confidence)


def test_other_vectors_are_refused(words: Words) -> None:
    config = ModelConfig.of("words-lookahead", hidden=4, word_hidden=4, vocabulary="other-123")
    with pytest.raises(WeightsError, match=r"other-123.*--vectors"):
        Neural(Trained(Model(config), LEARNT), words)


def test_where_it_looked_sums_to_one_and_names_the_words(words: Words) -> None:
    history = talk(7)
    looked = Neural(trained(words), words).look(history.turns)
    assert sorted(looked) == [1, 3, 5]
    for place, look in looked.items():
        assert len(look.turns) == place
        assert 0 < sum(look.turns) < 1
        assert [word for word, _ in look.words] == kept_tokens(history.turns[place].text)
        if look.words:
            assert sum(weight for _, weight in look.words) == pytest.approx(1, abs=1e-5)


def test_a_folder_can_be_named(words: Words, tmp_path) -> None:
    trained(words, "base").save(tmp_path / "run")
    strategy = load_strategy(f"neural:{tmp_path / 'run'}")
    assert isinstance(strategy, Neural)
    assert strategy.trained.model.config.variant == "base"
    with pytest.raises(WeightsError, match="nowhere"):
        load_strategy("neural:nowhere")
