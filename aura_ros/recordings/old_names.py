# SPDX-License-Identifier: Apache-2.0
"""Names of version 0.1.0 in recordings, the current names of the same things, and the fields that it did not have.

Recordings of version 0.1.0 carry the definitions of their messages. The decoder reads the bytes by these definitions,
gives each field its current name, and gives each field that is missing its default.
"""

from collections.abc import Mapping

OLD_TYPES: Mapping[str, str] = {'aura_ros/msg/ArmStatus': 'aura_ros/msg/PolicyStatus'}
"""Current name of each renamed message type."""

_POLICY_CONSTANTS = {'ARM_BASE': 'POLICY_BASE', 'ARM_AURA': 'POLICY_AURA', 'ARM_KV': 'POLICY_KV'}

OLD_FIELDS: Mapping[str, Mapping[str, str]] = {
    'aura_ros/msg/ActionChunk': {'arm': 'policy', 'chunk_len': 'chunk_size', **_POLICY_CONSTANTS},
    'aura_ros/msg/GateSample': {'arm': 'policy'},
    'aura_ros/msg/PolicyStatus': {'arm': 'policy', 'pending_arm': 'pending_policy'},
    'aura_ros/msg/VlaStep': {'policy_hash': 'backbone_hash', 'chunk_len': 'chunk_size'},
    'aura_ros/msg/WriteEvent': {'arm': 'policy', 'media_life_years': 'storage_life_years'},
}
"""Current name of each renamed field and constant, by the current name of the message type."""

ADDED_FIELDS: Mapping[str, tuple[str, ...]] = {
    'aura_ros/msg/ActionChunk': ('components',),
    'aura_ros/msg/VlaStep': ('components',),
}
"""Lists at the end of a message that version 0.1.0 did not have, by the current name of the message type.

An empty list means what version 0.1.0 meant: absolute joint targets.
"""

OLD_NOTES: Mapping[str, str] = {'aura_ros/policy_hashes': 'aura_ros/backbone_hashes'}
"""Today's key of each renamed note in the metadata of a bag."""


def current_type(name: str) -> str:
    """Return the current name of a message type."""
    return OLD_TYPES.get(name, name)


def current_field(type_name: str, name: str) -> str:
    """Return the current name of a field or constant; `type_name` is the current name of its message type."""
    return OLD_FIELDS.get(type_name, {}).get(name, name)


def current_notes(notes: Mapping[str, str]) -> dict[str, str]:
    """Return the notes of a recording with their current keys."""
    return {OLD_NOTES.get(key, key): text for key, text in notes.items()}
