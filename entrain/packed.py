"""A bidirectional GRU over sequences of any lengths that lie one after the other: quick to train on a CPU.

torch's own takes two to three times as long there, since its gradient of each step is a tensor as large as all the steps. Here both
directions take a step at once, and the gradient is written out: what does not depend on the step after is reckoned for many steps
together, but not more than a core's cache can hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

BLOCK = 4_096  # elements that a block of steps has at least, but for the last


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
    weights = (torch.stack(both) for both in zip(*rnn.all_weights, strict=True))
    with torch.autocast("cpu", enabled=False):  # so long a recurrence wants the precision
        onwards, backwards = cast(Any, _Steps).apply(
            flat, torch.stack([place, back]), [int(n) for n in sizes], *weights
        )
    empty = torch.empty_like(onwards)
    return torch.cat([empty.index_copy(0, place, onwards), empty.index_copy(0, back, backwards)], -1)


class _Steps(torch.autograd.Function):
    """The steps of both GRUs at once: reset, keep = σ(w·x + b + v·h + c), new = tanh(w·x + b + reset·(v·h + c)), and the next state
    is new + keep·(h − new)."""

    @staticmethod
    def forward(
        ctx: Any, flat: Tensor, orders: Tensor, sizes: list[int], w: Tensor, v: Tensor, b: Tensor, c: Tensor
    ) -> Tensor:
        """x (W, n_in), in which order each direction takes them (2, W), how many each step has; w (2, 3·H, n_in), v (2, 3·H, H),
        b and c (2, 3·H) → states (2, W, H) in that order."""
        n, size = orders.shape[1], v.shape[-1]
        states = flat.new_zeros(2, sizes[0] + n, size)  # first the start: one state for each sequence
        gates, new, own = (flat.new_empty(2, n, k * size) for k in (2, 1, 1))
        hidden = states[:, : sizes[0]]
        for rows, steps in _blocks(sizes):
            given = torch.baddbmm(b[:, None], flat[orders[:, rows]], w.transpose(1, 2))
            after = states[:, sizes[0] :][:, rows]
            for x, g, m, o, h in _each(steps, given, gates[:, rows], new[:, rows], own[:, rows], after):
                hidden = hidden[:, : x.shape[1]]
                of_state = torch.baddbmm(c[:, None], hidden, v.transpose(1, 2))
                o.copy_(of_state[..., 2 * size :])
                torch.add(x[..., : 2 * size], of_state[..., : 2 * size], out=g).sigmoid_()
                torch.addcmul(x[..., 2 * size :], g[..., :size], o, out=m).tanh_()
                hidden = torch.lerp(m, hidden, g[..., size:], out=h)
        ctx.save_for_backward(flat, orders, states, gates, new, own, w, v)
        ctx.sizes = sizes
        return states[:, sizes[0] :]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        flat, orders, states, gates, new, own, w, v = ctx.saved_tensors
        sizes: list[int] = ctx.sizes
        before = [h[:, :n] for (h,), n in zip(_each([sizes[0], *sizes], states), sizes, strict=False)]
        of_x = torch.zeros_like(flat) if ctx.needs_input_grad[0] else None
        of_w, of_v, of_b, of_c = (torch.zeros_like(t) for t in (w, v, w[..., 0], w[..., 0]))
        later, n_left = grad_outputs[0][:, :0], len(sizes)
        for rows, steps in reversed([*_blocks(sizes)]):
            (reset, keep), m = gates[:, rows].chunk(2, -1), new[:, rows]
            past = torch.cat(before[n_left - len(steps) : n_left], 1)
            n_left -= len(steps)
            # What a change of the state means to new, and to the three parts of v·h + c.
            to_new = torch.ops.aten.tanh_backward(1 - keep, m)
            to_reset = torch.ops.aten.sigmoid_backward(to_new * own[:, rows], reset)
            to_keep = torch.ops.aten.sigmoid_backward(past - m, keep)
            to_parts = torch.stack([to_reset, to_keep, to_new * reset], 2)  # (2, n, 3, H)
            total, parts = grad_outputs[0][:, rows].clone(), torch.empty_like(to_parts)
            for t, part, to, k in reversed([*_each(steps, total, parts, to_parts, keep)]):
                t[:, : later.shape[1]] += later
                torch.mul(to, t[:, :, None], out=part)
                later = torch.baddbmm(t * k, part.flatten(2), v)
            of_v.baddbmm_(parts.flatten(2).transpose(1, 2), past)
            of_c += parts.flatten(2).sum(1)
            torch.mul(total, to_new, out=parts[:, :, 2])  # of w·x + b from here on, which no gate resets
            of_w.baddbmm_(parts.flatten(2).transpose(1, 2), flat[orders[:, rows]])
            of_b += parts.flatten(2).sum(1)
            if of_x is not None:
                of_x.index_add_(0, orders[:, rows].flatten(), (parts.flatten(2) @ w).flatten(0, 1))
        return of_x, None, None, of_w, of_v, of_b, of_c


def _blocks(sizes: list[int]) -> Iterator[tuple[slice, list[int]]]:
    """Steps one after the other, in blocks: the elements that each has, and the sizes of its steps."""
    start = stop = 0
    steps: list[int] = []
    for n in sizes:
        steps.append(n)
        stop += n
        if stop - start >= BLOCK:
            yield slice(start, stop), steps
            start, steps = stop, []
    if steps:
        yield slice(start, stop), steps


def _each(sizes: list[int], *packed: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Step by step, the parts of several (2, W, …): (2, n, …), the first step's first."""
    return zip(*(torch.split(t, sizes, 1) for t in packed), strict=True)
