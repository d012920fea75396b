# SPDX-License-Identifier: Apache-2.0
"""A recording read as a stream of steps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aura_ros.replay.steps.arrays import Row, StepsInfo


@dataclass(frozen=True)
class StreamFacts:
    """What is known of a recording after its steps have been read."""

    partial: str = ''
    """What reading found to be missing of the recording, besides what opening it shows; '' for nothing."""
    inputs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """How each stream was used: figures by name, by name of the stream."""
    notes: tuple[str, ...] = ()
    """Notes for the reader of the report, in sentences."""
    warnings: tuple[str, ...] = ()
    """Notes of the recording itself, which the terminal shows as well."""


class StepStream(Protocol):
    """Steps of a recording in order. They can be read once."""

    info: StepsInfo
    """What all steps have in common."""

    def rows(self, known: Sequence[int]) -> Iterator[Row]:
        """Yield the steps after those with the stamps `known` [ns]."""

    def facts(self) -> StreamFacts:
        """Return what is known of the recording so far."""
