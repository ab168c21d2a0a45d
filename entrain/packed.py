"""A bidirectional GRU over sequences of any lengths that lie one after the other: quick to train on a CPU.

torch's own takes two to three times as long there, since its gradient of each step is a tensor as large as all the steps. Here both
directions take a step at once, and the gradient is written out by hand: what does not depend on the step after is reckoned for all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def packing(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Sequences that lie one after the other → the order of their elements in a PackedSequence (W,), and its batch sizes: all firsts,
    the longest sequence's first, then all seconds, and so on."""
    each = torch.arange(len(lengths), device=lengths.device)
    rank = torch.empty_like(lengths)
    rank[torch.argsort(lengths, descending=True, stable=True)] = each
    owner = torch.repeat_interleave(each, lengths)
    within = torch.arange(len(owner), device=lengths.device) - (lengths.cumsum(0) - lengths)[owner]
    return torch.argsort(within * len(lengths) + rank[owner]), torch.bincount(within)


def both_ways(rnn: nn.GRU, flat: Tensor, lengths: Tensor) -> Tensor:
    """(W, n_in) of sequences one after the other, their lengths (S,) → (W, 2·H), as `rnn` gives for each alone."""
    place, sizes = packing(lengths)
    first_and_last = torch.repeat_interleave(2 * lengths.cumsum(0) - lengths - 1, lengths)
    back = (first_and_last - torch.arange(len(flat), device=flat.device))[place]  # each from its end
    (w, v, b, c), (w_back, v_back, b_back, c_back) = rnn.all_weights
    of_state, bias = torch.stack([v, v_back]).transpose(1, 2), torch.stack([c, c_back])[:, None]
    with torch.autocast("cpu", enabled=False):  # so long a recurrence wants the precision
        given = [F.linear(flat[place], w, b), F.linear(flat[back], w_back, b_back)]  # (W, 3·H) each
        onwards, backwards = cast(Any, _Steps).apply(
            torch.stack(given), of_state, bias, [int(n) for n in sizes]
        )
    empty = torch.empty_like(onwards)
    return torch.cat([empty.index_copy(0, place, onwards), empty.index_copy(0, back, backwards)], -1)


class _Steps(torch.autograd.Function):
    """The steps of D GRUs at once: reset, keep = σ(x + V·h + c), new = tanh(x + reset·(V·h + c)), next h = new + keep·(h − new)."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, of_state: Tensor, bias: Tensor, sizes: list[int]) -> Tensor:
        """x: what the inputs give, packed (D, W, 3·H); V (D, H, 3·H) and c (D, 1, 3·H) → states (D, W, H)."""
        size = of_state.shape[1]
        gates = torch.empty_like(given[..., : 2 * size])
        states, new, own = (torch.empty_like(given[..., :size]) for _ in range(3))
        hidden = given.new_zeros(len(given), sizes[0], size)
        for x, g, m, o, h in _each(sizes, given, gates, new, own, states):
            hidden = hidden[:, : x.shape[1]]
            from_state = torch.baddbmm(bias, hidden, of_state)
            o.copy_(from_state[..., 2 * size :])
            torch.add(x[..., : 2 * size], from_state[..., : 2 * size], out=g).sigmoid_()
            torch.addcmul(x[..., 2 * size :], g[..., :size], o, out=m).tanh_()
            hidden = torch.lerp(m, hidden, g[..., size:], out=h)
        ctx.save_for_backward(states, gates, new, own, of_state)
        ctx.sizes = sizes
        return states

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        states, gates, new, own, of_state = ctx.saved_tensors
        sizes: list[int] = ctx.sizes
        reset, keep = gates.chunk(2, -1)
        past = [h[:, :n] for (h,), n in zip(_each(sizes, states), sizes[1:], strict=False)]
        before = torch.cat([torch.zeros_like(states[:, : sizes[0]]), *past], 1)
        # How the loss changes with reset, keep and new, for each unit that it changes with the state; all steps at once.
        of_new = torch.ops.aten.tanh_backward(1 - keep, new)
        of_reset = torch.ops.aten.sigmoid_backward(of_new * own, reset)
        of_keep = torch.ops.aten.sigmoid_backward(before - new, keep)
        per_unit = torch.stack([of_reset, of_keep, of_new * reset], 2)  # (D, W, 3, H)
        total, changes = (
            grad_outputs[0].clone(memory_format=torch.contiguous_format),
            torch.empty_like(per_unit),
        )
        to_state, later = of_state.transpose(1, 2).contiguous(), total[:, :0]
        for t, change, unit, k in reversed([*_each(sizes, total, changes, per_unit, keep)]):
            t[:, : later.shape[1]] += later
            torch.mul(unit, t[:, :, None], out=change)
            later = torch.baddbmm(t * k, change.flatten(2), to_state)
        flat = changes.flatten(2)
        of_weights, of_bias = before.transpose(1, 2) @ flat, flat.sum(1, keepdim=True)
        torch.mul(total, of_new, out=changes[:, :, 2])  # of x, where there is no reset
        return flat, of_weights, of_bias, None


def _each(sizes: list[int], *packed: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Step by step, the parts of several (D, W, …): (D, n, …), the first step's first."""
    return zip(*(torch.split(t, sizes, 1) for t in packed), strict=True)
