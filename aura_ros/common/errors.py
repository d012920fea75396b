# SPDX-License-Identifier: Apache-2.0
"""The errors of aura_ros: one tree, so that a caller can catch all of it or just what it can mend."""


class AuraError(Exception):
    """Anything aura_ros refuses; the text says what, the allowed range and the fix."""


class ConfigError(AuraError, ValueError):
    """A parameter, file or weight that cannot be used."""


class InputError(AuraError, ValueError):
    """An observation, feature or action that must not be used."""


class StateError(AuraError):
    """A saved memory state that cannot be restored."""


class StateLocked(StateError):
    """A state file that another process has open."""


class StateMismatch(StateError):
    """A whole state of another policy, shape or format version."""


class StateDamaged(StateError):
    """A state file that holds something, but no state that can be trusted."""


class BagError(AuraError):
    """A recording that cannot be read, or that lacks what a mapping asks of it; its text is one line."""

    def __init__(self, text: str) -> None:
        """Take the text on one line, also where it quotes a library's error of several."""
        super().__init__(' '.join(text.split()))
