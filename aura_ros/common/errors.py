# SPDX-License-Identifier: Apache-2.0
"""The errors of aura_ros. All derive from AuraError."""


class AuraError(Exception):
    """An expected error; the text names the cause, the allowed range and the fix."""


class ConfigError(AuraError, ValueError):
    """A parameter, a file or weights that cannot be used."""


class InputError(AuraError, ValueError):
    """An observation, feature or action that is not valid."""


class StateError(AuraError):
    """A saved memory state that cannot be restored."""


class StateLocked(StateError):
    """A state file that another process has locked."""


class StateMismatch(StateError):
    """A valid state of other weights, another shape or another format version."""


class StateDamaged(StateError):
    """A state file with data but without a valid state."""


class BagError(AuraError):
    """A recording that cannot be read, or that does not have the topics of the mapping. The text is one line."""

    def __init__(self, text: str) -> None:
        super().__init__(' '.join(text.split()))
