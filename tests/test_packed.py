"""Sequences of any lengths, packed: each read as if alone, with torch's own gradients, at the cost of the sum of their lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from batches import HIDDEN, WORD_DIM, WORD_HIDDEN
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from entrain.model import TurnEncoder
from entrain.packed import BLOCK, both_ways, packing

some_lengths = st.lists(st.integers(0, 9), min_size=2, max_size=8).filter(any)


def same(a: Tensor, b: Tensor) -> None:
    assert_close(a, b, rtol=0, atol=1e-11)


@given(some_lengths, st.booleans(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_packed_sequences_are_read_as_each_alone(lengths: list[int], training: bool, seed: int) -> None:
    """By our own loop (which is for training on a CPU) and by torch's: state by state."""
    torch.manual_seed(seed)
    encoder, n = TurnEncoder(WORD_DIM, WORD_HIDDEN, HIDDEN).double(), torch.tensor(lengths)
    flat = torch.randn(sum(lengths), WORD_DIM, dtype=torch.float64)
    with torch.set_grad_enabled(training):
        states = encoder.read(flat, n)
    expected = torch.cat([encoder.rnn(part[None])[0][0] for part in flat.split(lengths) if len(part)])
    same(states.detach(), expected.detach())


def check_gradients(lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    rnn, n = TurnEncoder(WORD_DIM, WORD_HIDDEN, HIDDEN).double().rnn, torch.tensor(lengths)
    flat = torch.randn(sum(lengths), WORD_DIM, dtype=torch.float64, requires_grad=True)
    place, sizes = packing(n)
    theirs = rnn(PackedSequence(flat[place], sizes))[0].data
    ours = both_ways(rnn, flat, n)
    same(ours[place], theirs)
    of_states, inputs = torch.randn_like(theirs), [flat, *rnn.parameters()]
    expected = torch.autograd.grad((theirs * of_states[place]).sum(), inputs)
    found = torch.autograd.grad((ours * of_states).sum(), inputs)
    for a, b in zip(found, expected, strict=True):
        same(a, b)


@given(some_lengths, st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_our_gradients_are_torchs(lengths: list[int], seed: int) -> None:
    check_gradients(lengths, seed)


@pytest.mark.parametrize("longest", [0, 700])
def test_and_where_the_steps_are_several_blocks(longest: int) -> None:
    lengths = [*torch.randint(0, 60, (600,), generator=torch.Generator().manual_seed(0)).tolist(), longest]
    assert sum(lengths) > 4 * BLOCK
    check_gradients(lengths, seed=0)


def test_weights_learn_the_same_where_the_words_need_no_gradient() -> None:
    rnn, lengths = TurnEncoder(WORD_DIM, WORD_HIDDEN, HIDDEN).double().rnn, torch.tensor([3, 5])
    flat = torch.randn(8, WORD_DIM, dtype=torch.float64)
    found, expected = (
        torch.autograd.grad(both_ways(rnn, x, lengths).square().sum(), list(rnn.parameters()))
        for x in (flat, flat.clone().requires_grad_())
    )
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


class Elements(TorchDispatchMode):
    """Counts the elements of all tensors that are made, forwards and backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.n = self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, Tensor):
                self.n += tensor.numel()
                self.largest = max(self.largest, tensor.numel())
        return out


def elements(lengths: Sequence[int]) -> Elements:
    """Of reading and learning from sequences of these lengths."""
    torch.manual_seed(0)
    encoder = TurnEncoder(WORD_DIM, WORD_HIDDEN, HIDDEN)
    with Elements() as counted:
        n, flat = torch.tensor(lengths), torch.randn(sum(lengths), WORD_DIM)
        owner = torch.repeat_interleave(torch.arange(len(n)), n)
        encoder.attend(encoder.read(flat, n), owner, torch.zeros(len(n), HIDDEN))[0].sum().backward()
    return counted


def test_cost_and_memory_follow_the_sum_of_the_lengths_not_the_longest() -> None:
    """400 words in 40 turns of 10, or one turn of 361 and 39 of one: padded these would be 36 times as many."""
    even, uneven = elements([10] * 40), elements([361] + [1] * 39)
    assert uneven.largest <= even.largest
    assert uneven.n < 2 * even.n
