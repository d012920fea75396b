# SPDX-License-Identifier: Apache-2.0
"""What a state file holds, for those who only look: no lock is taken and nothing is written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from aura_ros.state.device import Device
from aura_ros.state.format import FILE_BYTES, SLOT_BYTES, SLOTS, VERSION, SlotContent, unpack

_COMMIT_S = 0.05


@dataclass(frozen=True)
class StateFile:
    """Both slots, and what they come to.

    path: of the file.
    size: its bytes.
    slots: what each holds.
    """

    path: Path
    size: int
    slots: tuple[SlotContent, ...]

    @property
    def newest(self) -> SlotContent | None:
        """The state that would be restored; None where there is none."""
        valid = [content for content in self.slots if content.valid]
        return max(valid, key=lambda content: content.generation) if valid and not self.other_versions else None

    @property
    def other_versions(self) -> set[int]:
        """Format versions of whole slots that this program cannot read."""
        return {content.version for content in self.slots} - {VERSION}

    @property
    def damaged(self) -> str:
        """What is wrong with slots, as 'slot 1: its CRC-32 does not fit'; empty if nothing is."""
        said = [f'slot {content.slot}: {content.damage}' for content in self.slots if content.damage]
        # the first commit fills both, so this is what a cut through it leaves, or a damage
        said += [f'slot {content.slot}: empty' for content in self.slots if content.empty and self.newest]
        return '; '.join(said)

    @property
    def problem(self) -> str:
        """Why no state can be had of a file that holds something; empty if one can, or if it holds nothing.

        A damaged slot beside an empty one in a file of full size is a first commit that was cut off: it holds nothing.
        """
        if self.other_versions:
            return f'it has format version {max(self.other_versions)}, this program reads {VERSION}'
        if (
            self.newest is None
            and self.damaged
            and (self.size < FILE_BYTES or not any(content.empty for content in self.slots))
        ):
            return f'no state that can be trusted ({self.damaged})'
        return ''


def read_slots(device: Device, fd: int) -> tuple[SlotContent, ...]:
    """Read both slots of an open file; one that the medium refuses to give counts as damaged."""
    contents = []
    for slot in range(SLOTS):
        try:
            contents.append(unpack(slot, device.read(fd, SLOT_BYTES, slot * SLOT_BYTES)))
        except OSError as error:
            contents.append(SlotContent(slot, f'cannot be read: {error.strerror}'))
    return tuple(contents)


def read_open_file(device: Device, fd: int, path: Path) -> StateFile:
    """Read a file that is open."""
    return StateFile(path, device.size(fd), read_slots(device, fd))


def read_state_file(path: Path, device: Device | None = None) -> StateFile:
    """Read a file that a node may be writing to.

    Raises:
        OSError: if it cannot be opened.

    """
    device = device or Device()
    fd = device.open(path, write=False)
    try:
        found = read_open_file(device, fd, path)
        if found.damaged:  # it may have been read in the middle of a commit
            time.sleep(_COMMIT_S)
            found = read_open_file(device, fd, path)
        return found
    finally:
        device.close(fd)
