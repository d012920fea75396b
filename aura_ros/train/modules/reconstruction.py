# SPDX-License-Identifier: Apache-2.0
"""AURA-Mem with a gate that is trained to reconstruct the token instead of the action.

A decoder D rebuilds the code x of an observation from the read-out of its key. A write pays when it lowers the error
|x - D(f(k))|^2 of this token. Such a gate opens on everything that is new, whether or not an action depends on it.
Write rule and head are trained on the action loss, as those of AURA.
"""

import torch
from torch import Tensor, nn

from aura_ros.train.modules import AuraModule, Rollout, Sizes
from aura_ros.train.modules.gate import stake_loss


class ReconstructionModule(AuraModule):
    """Fast weights with a gate that learns what a write gains for the reconstruction of the token.

    Only training uses the decoder, so it does not count as a parameter of the memory.
    """

    kind = 'reconstruction'

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.decoder = nn.Linear(sizes.value_dim, sizes.code_dim)

    @property
    def parameter_count(self) -> int:
        """Number of trained parameters of the memory."""
        spare: int = sum(parameter.numel() for parameter in self.decoder.parameters())
        return super().parameter_count - spare

    def gate_loss(self, rollout: Rollout, price: float, weight: float) -> Tensor:
        """Return the loss of gate and decoder. `weight` is not used. See `AuraModule.gate_loss`."""
        probes = rollout.scan.probes
        assert probes is not None, 'the rollout must have been made with probe > 0'
        code, error = probes.code[probes.probed], probes.error[probes.probed]
        value = self.value(code)
        rebuilt = (self.decoder(value) - code).square().mean(-1)
        with torch.no_grad():
            known = value - error
            after = known + torch.sigmoid(self.rate(code)) * error
            wrong = [(self.decoder(found) - code).square().mean(-1) for found in (known, after)]
            stake = wrong[0] - wrong[1] - price
        return stake_loss(self.gate_logit(code, error), stake) + rebuilt.mean()
