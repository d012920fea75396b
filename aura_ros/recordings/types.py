# SPDX-License-Identifier: Apache-2.0
"""Types that every kind of recording shares. A reader of a new format implements `Source`; `bags.py` selects it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PARAMETERS = 'aura_ros/parameters'
"""Key of the recorded parameters in the custom data of a bag: YAML, values by name, by full name of the node."""
WARNINGS = 'aura_ros/warnings'
"""Key of the recorder's warnings in the custom data of a bag: YAML, a list of sentences."""
FOREVER_NS = 2**63 - 1
"""Log time after every message [ns]."""


@dataclass(frozen=True)
class Topic:
    """A topic of a recording."""

    name: str
    """Name as recorded."""
    type: str
    """ROS 2 name of the message type, for example sensor_msgs/msg/Image."""
    count: int
    """Number of messages in the recording [1]."""


@dataclass(frozen=True)
class Offer:
    """Quality of service that a publisher offers. The policies have the names of rosbag2's metadata."""

    reliability: str
    """'reliable', 'best_effort', or another name of rmw."""
    durability: str
    """'volatile', 'transient_local', or another name of rmw."""
    liveliness: str = 'automatic'
    """'automatic', 'manual_by_topic', or another name of rmw."""
    history: str = 'unknown'
    """'keep_last', 'keep_all', or 'unknown' if the middleware does not report it."""
    depth: int = 0
    """Depth of a history 'keep_last' [1], 0 if unknown."""
    deadline_ns: int = FOREVER_NS
    """Longest time between two messages [ns]."""
    lifespan_ns: int = FOREVER_NS
    """Time after which a message expires [ns]."""
    lease_ns: int = FOREVER_NS
    """Liveliness lease [ns]."""


@dataclass(frozen=True)
class Sample:
    """One message of a recording."""

    topic: str
    """Topic of the message."""
    stamp_ns: int
    """Stamp of the header, or `log_ns` without a stamp [ns, ROS clock]."""
    log_ns: int
    """Time at which the recorder received the message [ns, the recorder's clock]."""
    message: Any
    """Message with the field names of the .msg file; arrays are numpy arrays."""
    stamped: bool = True
    """Whether `stamp_ns` comes from the header."""


@dataclass(frozen=True)
class Episode:
    """One run of the task. A bag is one episode; a dataset has many."""

    name: str
    """Name for reports and file names, at most 36 characters."""
    begin_ns: int
    """Log time of the first message [ns]."""
    end_ns: int
    """Log time after the last message [ns]."""


class Source(Protocol):
    """One kind of recording. `Bag` documents the attributes."""

    topics: tuple[Topic, ...]
    episodes: tuple[Episode, ...]
    metadata: Mapping[str, str]
    files: tuple[Path, ...]

    @property
    def partial(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def messages(self, topics: Collection[str], begin_ns: int, end_ns: int) -> Iterator[tuple[str, int, Any]]:
        """Yield (topic, log_ns, message) with begin_ns <= log_ns < end_ns, in log order."""

    def close(self) -> None: ...
