# SPDX-License-Identifier: Apache-2.0
"""Playback by `ros2 bag play`, if it is installed and the recording needs no changes."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from aura_ros.common.errors import ConfigError

CHOICES = ('auto', 'ros2', 'own')
_ASK_S = 20.0
_CLOCK_HZ = 100
_END_S = 5.0
_NS = 1_000_000_000


def installed() -> bool:
    """Return whether `ros2 bag play` is installed."""
    if shutil.which('ros2') is None:
        return False
    answer = subprocess.run(['ros2', 'bag', 'play', '--help'], capture_output=True, timeout=_ASK_S, check=False)
    return answer.returncode == 0


def chosen(player: str, remap: Mapping[str, str] | None) -> bool:
    """Return whether `ros2 bag play` plays the recording.

    Args:
        player: one of CHOICES.
        remap: the graph's name of each recorded topic; None if messages have to be changed.

    Raises:
        ConfigError: `ros2 bag play` is requested and cannot play.
    """
    if player == 'own' or (player == 'auto' and remap is None):
        return False
    if remap is None:
        raise ConfigError(
            'ros2 bag play cannot play this recording, because two cameras share a topic, or joints have to be renamed '
            'or converted: set player:=own'
        )
    if installed():
        return True
    if player == 'ros2':
        raise ConfigError('ros2 bag play is not installed: install rosbag2, or set player:=own')
    return False


def command(bag: Path, remap: Mapping[str, str], rate: float, span_ns: tuple[int, int]) -> list[str]:
    """Return the command line; `span_ns` is the start after the first message and the duration [ns]."""
    start_s, length_s = (ns / _NS for ns in span_ns)
    timing = f'--clock {_CLOCK_HZ} --rate {rate:g} --start-offset {start_s:.9f} --playback-duration {length_s:.9f}'
    names = [f'{name}:={ours}' for name, ours in remap.items()]
    options = [*timing.split(), '--disable-keyboard-controls', '--topics', *remap, '--remap', *names]
    return ['ros2', 'bag', 'play', str(bag), *options]


def play(
    bag: Path,
    remap: Mapping[str, str],
    rate: float,
    span_ns: tuple[int, int],
    spin_until: Callable[[Callable[[], bool], float], bool],
) -> None:
    """Play to the end, and call `spin_until` meanwhile.

    Raises:
        ConfigError: `ros2 bag play` failed.
    """
    child = subprocess.Popen(command(bag, remap, rate, span_ns))
    try:
        while not spin_until(lambda: child.poll() is not None, 1.0):
            pass
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(_END_S)
            except subprocess.TimeoutExpired:
                child.kill()
    if child.returncode:
        raise ConfigError(f'ros2 bag play ended with {child.returncode}: see its output above')
