# SPDX-License-Identifier: Apache-2.0
"""The selective diagonal state-space model as a torch module; see `aura_ros.memory.ssm`."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aura_ros.train.modules.base import MemoryModule, Scan, Sizes, every_step

STATES = 32
"""N, numbers per channel. With AURA-Mem's number of parameters, the state is about as large as that of AURA-Mem."""
SLOWEST, FASTEST = 1.0, 16.0
SHORTEST, LONGEST = 1e-3, 0.1
"""Rates A and durations dt at initialisation, as in Mamba: time constants of 1 to 1000 steps."""


class Recurrence(torch.autograd.Function):
    """h_t = a_t h_{t-1} + w_t B_t^T and y_t = h_t C_t, one step after the other.

    The gradient follows the same recurrence backwards. This form needs two operations per step, and automatic
    differentiation needs a dozen. There is no division, so that any decay is allowed.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, w: Tensor, B: Tensor, C: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Run the recurrence.

        Args:
            ctx: context of autograd.
            a, w: [T, batch, H].
            B, C: [T, batch, N].
            start: h before the first step, [batch, H, N].

        Returns:
            y [T, batch, H] and h after the last step.
        """
        states = w[..., None] * B[..., None, :]
        h = start
        for decay, state in zip(a[..., None].unbind(), states.unbind(), strict=True):
            h = state.addcmul_(decay, h)
        ctx.save_for_backward(a, w, B, C, start, states)
        return (states @ C[..., None])[..., 0], h.clone()

    @staticmethod
    def backward(ctx: Any, of_y: Tensor, of_end: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of a, w, B, C and start."""
        a, w, B, C, start, states = ctx.saved_tensors
        gradient = of_y[..., None] * C[..., None, :]
        gradient[-1] += of_end
        slices, decays = gradient.unbind(), a[..., None].unbind()
        for t in range(len(a) - 1, 0, -1):
            slices[t - 1].addcmul_(decays[t], slices[t])
        before = (start, *states.unbind())
        of_a = torch.stack([torch.linalg.vecdot(after, h) for after, h in zip(slices, before, strict=False)])
        return (
            of_a,
            (gradient @ B[..., None])[..., 0],
            (w[..., None, :] @ gradient)[..., 0, :],
            (of_y[..., None, :] @ states)[..., 0, :],
            decays[0] * gradient[0],
        )


class SsmModule(MemoryModule):
    """One S6 layer.

    Args:
        sizes: dimensions.
        hidden: channels H, the length of the read-out; the state is [H, 32].
    """

    kind = 'ssm'

    def __init__(self, sizes: Sizes, hidden: int) -> None:
        super().__init__(sizes, hidden)
        self.input, self.dt = nn.Linear(sizes.code_dim, hidden), nn.Linear(sizes.code_dim, hidden)
        self.B, self.C = nn.Linear(sizes.code_dim, STATES), nn.Linear(sizes.code_dim, STATES)
        self.A_log = nn.Parameter(torch.linspace(math.log(SLOWEST), math.log(FASTEST), hidden))
        self.skip = nn.Parameter(torch.ones(hidden))
        with torch.no_grad():
            dt = torch.empty(hidden).uniform_(math.log(SHORTEST), math.log(LONGEST)).exp()
            self.dt.bias.copy_(dt + (-(-dt).expm1()).log())  # the inverse of softplus

    def scan(self, x: Tensor, state: Tensor | None = None, **options: Any) -> Scan:
        """Solve it; `state` is h, [B, H, N]."""
        steps = x.transpose(0, 1)  # time first: then each step is one piece of memory
        u, rates = self.input(steps), self.A_log.exp()
        exponent = -F.softplus(self.dt(steps)) * rates
        start = u.new_zeros(*u.shape[1:], STATES) if state is None else state
        y, after = Recurrence.apply(exponent.exp(), -exponent.expm1() / rates * u, self.B(steps), self.C(steps), start)
        return every_step(x, (y + self.skip * u).transpose(0, 1), after)
