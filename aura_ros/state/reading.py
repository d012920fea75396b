# SPDX-License-Identifier: Apache-2.0
"""Reading a state file without a lock; nothing is written."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from aura_ros.state.device import Device
from aura_ros.state.format import SLOT_BYTES, SLOTS, VERSION, SlotContent, unpack

_COMMIT_S = 0.05
"""Longer than a commit usually takes [s]."""


@dataclass(frozen=True)
class StateFile:
    """Both slots of a file."""

    path: Path
    """Path of the file."""
    size: int
    """Bytes of the file."""
    slots: tuple[SlotContent, ...]
    """Content of each slot."""

    @property
    def newest(self) -> SlotContent | None:
        """The state that would be restored, None if there is none."""
        valid = [content for content in self.slots if content.valid]
        return max(valid, key=lambda content: content.generation) if valid and not self.other_versions else None

    @property
    def other_versions(self) -> set[int]:
        """Format versions of intact slots that this program cannot read."""
        return {content.version for content in self.slots} - {VERSION}

    @property
    def damaged(self) -> str:
        """What is wrong with the slots, such as 'slot 1: its CRC-32 does not match'; '' if nothing is."""
        found = [f'slot {content.slot}: {content.damage}' for content in self.slots if content.damage]
        # the first commit fills both slots, so an empty one means an interrupted first commit, or damage
        found += [f'slot {content.slot}: empty' for content in self.slots if content.empty and self.newest]
        return '; '.join(found)

    @property
    def problem(self) -> str:
        """Why a file that is not empty cannot be restored, '' if it can.

        A damaged slot beside an empty one is an interrupted first commit and counts as empty.
        """
        if self.other_versions:
            return f'it has format version {max(self.other_versions)}, this program reads {VERSION}'
        if self.newest is None and not any(content.empty for content in self.slots):
            return f'no intact state ({self.damaged})'
        return ''


def read_slots(device: Device, fd: int) -> tuple[SlotContent, ...]:
    """Return both slots of an open file; a slot that cannot be read counts as damaged."""
    contents = []
    for slot in range(SLOTS):
        try:
            contents.append(unpack(slot, device.read(fd, SLOT_BYTES, slot * SLOT_BYTES)))
        except OSError as error:
            contents.append(SlotContent(slot, f'cannot be read: {error.strerror}'))
    return tuple(contents)


def read_open_file(device: Device, fd: int, path: Path) -> StateFile:
    """Return the content of an open file."""
    return StateFile(path, device.size(fd), read_slots(device, fd))


def read_state_file(path: Path, device: Device | None = None) -> StateFile:
    """Return the content of a file that a node may be writing to.

    Raises:
        OSError: if it cannot be opened.
    """
    device = device or Device()
    fd = device.open(Path(os.path.realpath(path)), write=False)
    try:
        found = read_open_file(device, fd, path)
        if found.damaged:  # it may have been read during a commit
            time.sleep(_COMMIT_S)
            found = read_open_file(device, fd, path)
        return found
    finally:
        device.close(fd)
