"""The network: what it may look at, that neither company nor padding matters, and that turn by turn is the same as all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from batches import (
    HIDDEN,
    LABELS,
    WORD_DIM,
    WORD_HIDDEN,
    alone,
    batch_of,
    config_of,
    copy,
    model_of,
    reordered,
    single_precision,
    step_by_step,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn
from torch.testing import assert_close

from entrain.model import (
    MEL_BANDS,
    SHAPE,
    VARIANTS,
    Batch,
    Model,
    ModelConfig,
    N,
    TurnEncoder,
    Turns,
    context_of,
    emotion_of,
    masked_loss,
    shape_of,
)

LIKELIHOODS = ("laplace", "student", "smooth_l1")
variants = pytest.mark.parametrize("variant", VARIANTS)
any_variant = st.sampled_from(list(VARIANTS))


def same(a: Tensor, b: Tensor) -> None:
    assert_close(a, b, rtol=0, atol=1e-11)


# --- company and padding ----------------------------------------------------------------------------------------------


def check_company(model: Model, batch: Batch) -> None:
    """Each conversation alone is as in the batch."""
    together = model(batch, "both")
    for i, n in enumerate(batch.real.sum(1).tolist()):
        by_itself = model(alone(batch, i), "both")
        for part in ("location", "scale"):
            same(getattr(by_itself, part)[0], getattr(together, part)[i, :n])
        same(by_itself.over_turns[0], together.over_turns[i, :, :n, : n + 1])


def check_padding(model: Model, batch: Batch) -> None:
    """Other noise in the padding, and none, change neither a prediction nor a gradient; and nothing is predicted there."""
    first = [_learnt(model, batch)]
    other = batch_of(*batch.real.sum(1).tolist(), seed=99)
    mixed = [_where_real(batch, a, b) for a, b in ((batch, other), (batch, _zeros(batch)))]
    for location, loss, gradients in first + [_learnt(model, b) for b in mixed]:
        same(location, first[0][0])
        same(loss, first[0][1])
        for gradient, before in zip(gradients, first[0][2], strict=True):
            same(gradient, before)
        assert not location[~batch.real].any()


def _learnt(model: Model, batch: Batch) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    predicted = model(batch, "both")
    loss = masked_loss(model.config, predicted, batch, "both")
    return predicted.location, loss, torch.autograd.grad(loss, list(model.parameters()))


def _where_real(batch: Batch, inside: Batch, outside: Batch) -> Batch:
    """`inside` in the conversations, `outside` in their padding."""
    flat: dict[str, Tensor] = {}
    for name in ("words", "mel"):
        parts = [
            [*getattr(b, name).split(getattr(b, f"n_{name}").flatten().tolist())] for b in (inside, outside)
        ]
        chosen = batch.real.flatten().tolist()
        flat[name] = torch.cat([a if real else b for a, b, real in zip(*parts, chosen, strict=True)])
    for field in fields(Batch):
        if field.name not in flat:
            a, b = getattr(inside, field.name), getattr(outside, field.name)
            real = batch.real.view(*batch.real.shape, *[1] * (a.dim() - 2))
            flat[field.name] = a if field.name == "real" else torch.where(real, a, b)
    return Batch(**flat)


def _zeros(batch: Batch) -> Batch:
    return Batch(
        *(
            torch.zeros_like(getattr(batch, f.name)[: 0 if f.name in ("words", "mel") else None])
            for f in fields(Batch)
        )
    )


@variants
def test_a_conversation_alone_is_as_in_a_batch(variant: str) -> None:
    check_company(model_of(variant), batch_of(9, 4, 1))


@variants
def test_the_padding_changes_nothing(variant: str) -> None:
    check_padding(model_of(variant), batch_of(9, 4, 1))


@variants
def test_conversations_may_come_in_any_order(variant: str) -> None:
    """In single precision, as in use."""
    model, batch, order = model_of(variant).float(), single_precision(batch_of(6, 3, 8, 1)), [2, 0, 3, 1]
    assert_close(model(reordered(batch, order)).location, model(batch).location[order], rtol=1e-5, atol=1e-6)


@variants
def test_the_batch_is_left_as_it_was(variant: str) -> None:
    model, batch = model_of(variant).train(), batch_of(7, 5)
    before = copy(batch)
    predicted = model(model.free_run(batch, 0.5))
    masked_loss(model.config, predicted, batch).backward()
    for field in fields(Batch):
        assert torch.equal(getattr(batch, field.name), getattr(before, field.name)), field.name


class Reshaped(TurnEncoder):
    """The trap: states of several sequences reshaped as if they were one's."""

    def attend(self, states: Tensor, owner: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        vectors, weights = super().attend(states, owner, query)
        return vectors.view(2, -1).t().reshape(vectors.shape), weights


class Everywhere(Model):
    """An attention without a mask: it looks at the padding too."""

    def _mix(
        self, keys: Tensor, values: Tensor, ahead: Tensor, seen: Tensor, distance: Tensor
    ) -> tuple[Tensor, Tensor]:
        return super()._mix(keys, values, ahead, seen | True, distance)


def test_an_attention_that_looks_at_the_padding_is_noticed() -> None:
    model = model_of("base")
    model.__class__ = Everywhere
    for check in (check_company, check_padding):
        with pytest.raises(AssertionError):
            check(model, batch_of(9, 4, 1))


def test_a_final_state_reshaped_without_its_batch_axis_is_noticed() -> None:
    model = model_of("words")
    assert model.word_encoder is not None
    model.word_encoder.__class__ = Reshaped
    with pytest.raises(AssertionError):
        check_company(model, batch_of(9, 4, 1))


# --- turn by turn -----------------------------------------------------------------------------------------------------


@variants
@pytest.mark.parametrize("on", ["us", "both"])
def test_turn_by_turn_is_as_all_at_once(variant: str, on: Any) -> None:
    model, batch = model_of(variant), batch_of(9, 4, 1)
    whole, steps = model(batch, on), step_by_step(model, batch, on)
    same(whole.location, steps.location)
    same(whole.scale, steps.scale)
    same(whole.over_turns, steps.over_turns)
    if model.config.words:
        order = torch.arange(batch.real.numel()).view_as(batch.real).t().flatten().tolist()
        parts = whole.over_words.split(batch.n_words.flatten().tolist())
        same(torch.cat([parts[i] for i in order]), steps.over_words)


@variants
def test_all_dimensions_distinct(variant: str) -> None:
    """B 2, T 9, H 12, word_hidden 5, word_dim 11, features 7, context 4, shape 3, Mel 160: nothing fits by chance."""
    sizes = {2, 9, HIDDEN, WORD_HIDDEN, WORD_DIM, N, 4, len(SHAPE), MEL_BANDS}
    assert len(sizes) == 9
    model, batch = model_of(variant), batch_of(9, 6)
    predicted = model(batch)
    n_attentions = {"dual": 2, "none": 0}.get(model.config.attention, 1)
    assert predicted.location.shape == predicted.scale.shape == (2, 9, N)
    assert predicted.over_turns.shape == (2, n_attentions, 9, 10)
    assert len(predicted.over_words) == (len(batch.words) if model.config.words else 0)
    assert (predicted.scale > 0).all()


@variants
def test_a_state_is_carried_by_value(variant: str) -> None:
    """Nothing of a conversation stays in the model, and a state may be gone on from twice."""
    model, batch = model_of(variant), batch_of(6)
    turns, state = Turns(batch, batch.counted("us")), model.start()
    kept = [part.clone() for part in state]
    once, again = (model.observe(state, turns.at(0), model.foresee(state, turns.at(0))) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(a, b) for a, b in zip(state, kept, strict=True))


# --- gradients --------------------------------------------------------------------------------------------------------


@variants
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_parameter_gets_a_gradient(variant: str, likelihood: str) -> None:
    model, batch = model_of(variant, likelihood=likelihood).train(), batch_of(9, 6, 4)
    masked_loss(model.config, model(batch), batch).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


# --- emotion ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["base", "words-lookahead", "none"])
def test_with_emotions_all_holds_that_holds_without(variant: str) -> None:
    model, batch = model_of(variant, emotion=LABELS), batch_of(9, 4, 1)
    check_company(model, batch)
    check_padding(model, batch)
    same(model(batch, "both").location, step_by_step(model, batch, "both").location)
    masked_loss(model.config, model.train()(batch), batch).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_an_emotion_changes_what_is_predicted_after_it_and_an_unknown_one_nothing() -> None:
    model, batch = model_of("base", emotion=LABELS), batch_of(6)
    before = model(batch, "both").location
    for known in (0.0, 1.0):
        was, other = batch.emotion.clone(), batch.emotion.clone()
        was[0, 2, -1] = other[0, 2, -1] = known
        other[0, 2, :-1] += 1  # of one turn, the third
        old, new = (model(replace(batch, emotion=e), "both").location for e in (was, other))
        assert torch.equal(old[:, :3], new[:, :3])
        assert torch.equal(old, new) == (not known)
    nothing = model(replace(batch, emotion=torch.zeros_like(batch.emotion)), "both").location
    noise = batch.emotion * torch.tensor([1.0] * len(LABELS) + [0.0])
    assert torch.equal(model(replace(batch, emotion=noise), "both").location, nothing)
    assert not torch.allclose(before, nothing)


@variants
def test_without_labels_no_emotion_is_looked_at(variant: str) -> None:
    model, batch = model_of(variant), batch_of(5, 3)
    without = replace(batch, emotion=batch.emotion[..., :0])
    assert torch.equal(model(batch).location, model(without).location)
    assert model.feature_encoder.input_size == 2 * N + 1 + 4


@given(st.dictionaries(st.sampled_from(["angry", "sad", "zeal"]), st.floats(0, 1)))
def test_the_emotion_of_a_turn_is_a_probability_a_label_and_whether_it_is_known(
    found: dict[str, float],
) -> None:
    told = emotion_of(found, ("sad", "angry", "calm"))
    assert told[:3] == (found.get("sad", 0.0), found.get("angry", 0.0), 0.0)
    assert told[3] == float("sad" in found or "angry" in found)
    assert emotion_of(found, ()) == ()
    assert emotion_of(None, ("sad",)) == emotion_of({}, ("sad",)) == (0.0, 0.0)


def test_a_label_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="emotion has a label twice: sad, sad"):
        ModelConfig(emotion=("sad", "sad"))


# --- dropout ----------------------------------------------------------------------------------------------------------


class Half(nn.Module):
    """Where dropout is, without chance."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 2


@variants
def test_dropout_is_at_the_same_places_turn_by_turn(variant: str) -> None:
    model, batch = model_of(variant), batch_of(7, 5)
    before = model(batch).location
    model.dropout = Half()  # type: ignore[assignment]
    same(model(batch).location, step_by_step(model, batch).location)
    assert not torch.allclose(model(batch).location, before)


@variants
def test_dropout_is_used_in_training_and_not_after(variant: str) -> None:
    model, batch = model_of(variant, dropout=0.5), batch_of(7, 5)
    assert torch.equal(model(batch).location, model(batch).location)
    model.train()
    assert not torch.equal(model(batch).location, model(batch).location)


@variants
def test_dropout_never_touches_the_carried_state(variant: str) -> None:
    """Gates that keep all: whatever is dropped around it, the state comes through to the digit. Past turns are never altered."""
    model, batch = model_of(variant, dropout=0.9).train(), batch_of(40)
    for rnn in (model.feature_encoder, model.decoder):
        for name, parameter in rnn.named_parameters():
            nn.init.zeros_(parameter)
            if name == "bias_ih_l0":
                nn.init.constant_(parameter[HIDDEN : 2 * HIDDEN], 50)  # of the gate that keeps: σ(50) is 1
    carried = torch.randn(2, 1, HIDDEN, dtype=torch.float64)
    state = model.start()._replace(feature=carried[0], decoder=carried[1])
    turns = Turns(batch, batch.real)
    for t in range(40):
        before, now = state, turns.at(t)
        state = model.observe(state, now, model.foresee(state, now))
        for past, same_past in ((before.keys, state.keys), (before.values, state.values)):
            assert torch.equal(past, same_past[:, : past.shape[1]])
    assert torch.equal(state.feature, carried[0])
    assert torch.equal(state.decoder, carried[1])


@variants
def test_dropout_leaves_the_recurrence_alone_in_a_whole_conversation_too(variant: str) -> None:
    model, batch, seen = model_of(variant, dropout=0.9).train(), batch_of(12, 5), []
    for rnn in (model.feature_encoder, model.decoder):
        rnn.register_forward_hook(lambda rnn, taken, out: seen.append((rnn, taken[0], out[0])))
    model(batch, "both")
    assert len(seen) == 2
    for rnn, taken, states in seen:
        cell = nn.GRUCell(rnn.input_size, rnn.hidden_size).double()
        cell.load_state_dict({name.removesuffix("_l0"): t for name, t in rnn.state_dict().items()})
        hidden = states.new_zeros(2, HIDDEN)
        for t in range(taken.shape[1]):
            hidden = cell(taken[:, t], hidden)
            same(states[:, t], hidden)


# --- what is missing --------------------------------------------------------------------------------------------------


def no_words(batch: Batch) -> Batch:
    return replace(batch, words=batch.words[:0], n_words=0 * batch.n_words, shape=0 * batch.shape)


def no_audio(batch: Batch) -> Batch:
    return replace(batch, valid=batch.valid & False, mel=batch.mel[:0], n_mel=0 * batch.n_mel)


def us_alone(batch: Batch) -> Batch:
    return replace(batch, us=batch.us | True)


def partner_alone(batch: Batch) -> Batch:
    return replace(batch, us=batch.us & False)


LACKS = [no_words, no_audio, us_alone, partner_alone, lambda b: no_words(no_audio(b))]


@variants
@pytest.mark.parametrize("lack", LACKS, ids=["words", "audio", "partner", "us", "both"])
@pytest.mark.parametrize("n_turns", [(1,), (6, 1)], ids=["one turn", "six"])
def test_what_is_missing_is_no_reason_to_fail(
    variant: str, lack: Callable[[Batch], Batch], n_turns: tuple[int, ...]
) -> None:
    """And everything holds that otherwise does."""
    model, batch = model_of(variant), lack(batch_of(*n_turns))
    check_company(model, batch)
    same(model(batch).location, step_by_step(model, batch).location)
    loss = masked_loss(model.config, model(batch), batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@variants
def test_a_text_or_sound_of_no_length_may_have_a_row_of_anything(variant: str) -> None:
    """As runtimes must give it that know no empty tensors."""
    model, batch = model_of(variant), no_words(no_audio(batch_of(1)))
    now = Turns(batch, batch.real).at(0)
    noise = now._replace(words=torch.randn(1, WORD_DIM).double(), mel=torch.randn(1, MEL_BANDS).double())
    found, expected = (model.foresee(model.start(), n) for n in (noise, now))
    same(found.location, expected.location)
    for a, b in zip(
        model.observe(model.start(), noise, found), model.observe(model.start(), now, expected), strict=True
    ):
        same(a, b)


@variants
def test_a_value_that_is_not_valid_is_not_read(variant: str) -> None:
    model, batch = model_of(variant), batch_of(8, 5)
    same(model(batch).location, model(replace(batch, z=batch.z * batch.valid)).location)


@pytest.mark.parametrize("variant", ["words-lookahead", "dual"])
def test_a_thousand_turns(variant: str) -> None:
    model, batch = model_of(variant), batch_of(1000)
    with torch.inference_mode():
        whole, steps = model(batch), step_by_step(model, batch)
    assert_close(whole.location, steps.location, rtol=0, atol=1e-9)
    assert torch.isfinite(whole.location).all()


@variants
def test_in_half_precision_nearly_the_same_is_learnt(variant: str) -> None:
    """As Lightning's `bf16-mixed` has it, on a CPU."""
    model, batch = model_of(variant).float(), single_precision(batch_of(9, 6))
    learnt = []
    for mixed in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            loss = masked_loss(model.config, model(batch), batch)
        loss.backward()
        learnt.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert learnt[1].dtype == torch.float32
    assert torch.cosine_similarity(*learnt, dim=0) > 0.99


# --- what may be looked at --------------------------------------------------------------------------------------------


def check_causality(model: Model, batch: Batch, t: int) -> None:
    """Turn t is predicted from the turns before it, and what is known when it begins: gradients elsewhere are 0, all of them."""
    names = ("z", "context", "shape", "words", "mel")
    inputs = {name: getattr(batch, name).clone().requires_grad_() for name in names}
    predicted = model(replace(batch, **inputs), "both")
    loss = predicted.location[:, t].sum() + predicted.scale[:, t].sum()
    gradients = torch.autograd.grad(loss, list(inputs.values()), allow_unused=True)
    found = {
        name: torch.zeros_like(inputs[name]) if g is None else g
        for name, g in zip(names, gradients, strict=True)
    }
    place = torch.arange(batch.real.shape[1]).expand_as(batch.real)
    of_word, of_vector = (
        torch.repeat_interleave(place.flatten(), n.flatten()) for n in (batch.n_words, batch.n_mel)
    )
    text_until = t if model.config.lookahead else t - 1
    assert not found["z"][:, t:].any()
    assert not found["context"][:, t:].any()
    assert not found["mel"][of_vector >= t].any()
    assert not found["shape"][:, text_until + 1 :].any()
    assert not found["words"][of_word > text_until].any()


def looks_at_own_text(model: Model, batch: Batch, t: int) -> bool:
    other = replace(batch, shape=batch.shape.clone())
    other.shape[:, t] += 1
    return not torch.equal(model(other, "both").location[:, t], model(batch, "both").location[:, t])


@given(any_variant, st.integers(1, 8), st.data())
@settings(max_examples=40, deadline=None)
def test_no_prediction_sees_its_own_turn_or_a_later_one(variant: str, n: int, data: st.DataObject) -> None:
    """Whatever is changed there: z, validity, context, sounds; and of later turns also the texts and who speaks."""
    t, seed = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, 1000))
    model, batch = model_of(variant, seed), batch_of(n, seed=seed)
    check_causality(model, batch, t)
    other, past = batch_of(n, seed=seed + 1), torch.arange(n)[None] < t
    changed = _where_real(replace(batch, real=past), batch, other)
    ours = torch.arange(n)[None] == t
    text = _where_real(replace(batch, real=past | ours), batch, other)
    changed = replace(
        changed, real=batch.real, us=text.us, shape=text.shape, words=text.words, n_words=text.n_words
    )
    same(model(changed, "both").location[:, : t + 1], model(batch, "both").location[:, : t + 1])
    assert looks_at_own_text(model, batch, t) == model.config.lookahead


class Leaking(Model):
    """What is known when a turn begins, with the turn's own features in it."""

    def _ahead(self, before: Tensor, text: Tensor, us: Tensor) -> Tensor:
        return super()._ahead(before.roll(-1, 1), text, us)


class Peeking(Model):
    """An attention that may look at the turn itself."""

    def _mix(
        self, keys: Tensor, values: Tensor, ahead: Tensor, seen: Tensor, distance: Tensor
    ) -> tuple[Tensor, Tensor]:
        return super()._mix(keys, values, ahead, seen | (distance == 0), distance)


@pytest.mark.parametrize("faulty", [Leaking, Peeking])
def test_a_model_that_sees_its_own_turn_is_noticed(faulty: type[Model]) -> None:
    model = model_of("words-lookahead")
    model.__class__ = faulty
    with pytest.raises(AssertionError):
        check_causality(model, batch_of(6), 3)


@variants
def test_every_earlier_turn_matters(variant: str) -> None:
    model, batch = model_of(variant), replace(batch_of(8), valid=torch.ones(1, 8, N, dtype=torch.bool))
    z = batch.z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(replace(batch, z=z), "both").location[:, 7].sum(), z)
    assert gradient[:, :7].all()


# --- attention --------------------------------------------------------------------------------------------------------


@given(any_variant, st.integers(1, 9), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_attention_adds_up_to_one_over_the_turns_it_may_look_at(variant: str, n: int, seed: int) -> None:
    model, batch = model_of(variant, seed), batch_of(n, max(1, n - 3), seed=seed)
    weights = model(batch, "both").over_turns
    us = batch.us
    allowed = {"single": [us | ~us], "dual": [us, ~us], "partner": [~us], "none": []}[model.config.attention]
    assert weights.shape[1] == len(allowed)
    earlier = torch.ones(n, n, dtype=torch.bool).tril(-1)
    for kind, turns in enumerate(allowed):
        same(weights[:, kind].sum(-1), torch.ones(2, n, dtype=torch.float64))
        may = earlier & turns[:, None]
        assert (weights[:, kind, :, 1:][may] > 0).all()
        assert not weights[:, kind, :, 1:][~may].any()
        assert (weights[:, kind, :, 0] > 0).all()  # "no turn" can always be chosen


def check_history(model: Model) -> None:
    """Turns in which nobody in the batch is predicted are history like any others."""
    batch = replace(
        batch_of(4, 4), us=torch.tensor([[False, False, False, True]] * 2), valid=torch.ones(2, 4, N) > 0
    )
    z = batch.z.clone().requires_grad_()
    predicted = model(replace(batch, z=z))
    assert (predicted.over_turns[:, :, 3, 1:4] > 0).all()
    (gradient,) = torch.autograd.grad(predicted.location.sum(), z)
    assert gradient[:, :3].all()


class Skipping(Model):
    """The trap: a row of the history is left out where nobody in the batch is predicted."""

    def _whose(self, us: Tensor) -> Tensor:
        return super()._whose(us) & us.any(0)


@pytest.mark.parametrize("variant", ["words-lookahead", "partner", "base", "mel"])
def test_turns_where_nobody_is_predicted_are_history_too(variant: str) -> None:
    model = model_of(variant)
    check_history(model)
    model.__class__ = Skipping
    with pytest.raises(AssertionError):
        check_history(model)


@variants
def test_a_partners_turn_does_not_move_the_decoder(variant: str) -> None:
    model, batch = model_of(variant), batch_of(6)
    turns, state = Turns(batch, batch.counted("us")), model.start()
    for t in range(6):
        now = turns.at(t)
        foreseen = model.foresee(state, now)
        assert torch.equal(foreseen.decoder, state.decoder) == (not batch.us[0, t])
        state = model.observe(state, now, foreseen)


# --- configurations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"attention": "triple"}, "'single', 'dual', 'partner' or 'none'"),
        ({"likelihood": "gauss"}, "'laplace', 'student' or 'smooth_l1'"),
        ({"normalise": "none"}, "'causal' or 'conversation'"),
        ({"train_on": "them"}, "'us' or 'both'"),
        ({"hidden": 1}, "greater than or equal to 2"),
        ({"dropout": 1.0}, "less than 1"),
        ({"hiden": 64}, "hiden"),
        ({"words": False}, "needs words=True"),
        ({"attention": "none", "lookahead": False}, "look ahead"),
        ({"attention": "none", "words": False, "lookahead": False, "mel": True}, "leave words and mel out"),
        ({"train_loss_on": "both"}, 'train_loss_on="both" needs train_on="both"'),
        ({"teacher_force_on": "both"}, 'teacher_force_on="both" needs train_on="both"'),
        ({"eval_loss_on": "both"}, 'eval_loss_on="both" needs eval_on="both"'),
    ],
)
def test_what_a_configuration_cannot_be(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ModelConfig.of("words-lookahead", **changes)


def test_an_unknown_variant_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=f"'wrods'. Select one of {', '.join(VARIANTS)}"):
        ModelConfig.of("wrods")


def test_each_variant_is_a_configuration_that_comes_back_from_json() -> None:
    for variant in VARIANTS:
        config = config_of(variant)
        assert config.variant == variant
        assert ModelConfig.model_validate_json(config.model_dump_json()) == config
    assert ModelConfig() == ModelConfig.of("words-lookahead")


# --- what is known of a turn ------------------------------------------------------------------------------------------


def test_context_and_shape_of_a_turn() -> None:
    assert context_of(np.e - 1, 0.25, -9.0, True) == pytest.approx((1, 0.25, -3, 1))
    assert context_of(-1.0, 0.0, None, False) == (0, 0, 0, 0)
    assert shape_of("") == (0, 0, 0)
    assert shape_of("Yesterday, yesterday!") == pytest.approx((np.log(3), np.log(7), 3 / 4))
    assert shape_of("🙂 …") == (0, 0, 0)


def test_the_start_knows_nothing() -> None:
    state = model_of("base").start(3)
    assert [tuple(part.shape) for part in state] == [
        (3, HIDDEN),
        (3, HIDDEN),
        (3, 0, HIDDEN),
        (3, 0, HIDDEN),
        (3, 0),
    ]
    assert not any(part.any() for part in state)
