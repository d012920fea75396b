# SPDX-License-Identifier: Apache-2.0
"""What counts as an instruction. vla_node, the player and the offline replay share this rule."""

from aura_ros.common.limits import INSTRUCTION_CHARS

IN_FORCE = 'instruction_in_force'
"""Topic on which vla_node publishes the instruction of its episodes."""


def usable_instruction(text: str) -> str:
    """Return a received text as an instruction: without outer whitespace, at most INSTRUCTION_CHARS characters.

    An empty result is no instruction. It does not change the instruction in force.
    """
    return text.strip()[:INSTRUCTION_CHARS]
