# SPDX-License-Identifier: Apache-2.0
"""A backbone of one's own with three joints and one camera, as `--backbone own_vla:make` names it."""

from dataclasses import replace

import numpy as np
from recordings import SPEC

from aura_ros.vla.protocol import Observation, VlaOutput

OWN = replace(SPEC, name='own', cameras=('front',), backbone_hash='5e' * 32)


class OwnVla:
    """Sees the brightness of its camera and the joints. Its actions hold the position."""

    spec = OWN

    def infer(self, observation: Observation) -> VlaOutput:
        """Return four features and a chunk at the present position."""
        seen = [observation.images['front'].mean() / 255.0, *observation.joint_positions]
        return VlaOutput(
            np.array(seen, np.float32), np.repeat(observation.joint_positions[None], OWN.chunk_size, axis=0)
        )


def make(path: str | None = None) -> OwnVla:
    """Return the backbone; it has no weights."""
    return OwnVla()
