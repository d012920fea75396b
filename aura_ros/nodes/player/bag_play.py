# SPDX-License-Identifier: Apache-2.0
"""`ros2 bag play`, where it is installed and can play a recording as it is."""

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
    """Whether there is a `ros2` that knows `bag play`."""
    if shutil.which('ros2') is None:
        return False
    asked = subprocess.run(['ros2', 'bag', 'play', '--help'], capture_output=True, timeout=_ASK_S, check=False)
    return asked.returncode == 0


def chosen(player: str, remap: Mapping[str, str] | None) -> bool:
    """Whether `ros2 bag play` is to play.

    Args:
        player: one of CHOICES.
        remap: our name of each topic, None where the messages have to be changed.

    Raises:
        ConfigError: it is asked for and cannot.
    """
    if player == 'own' or (player == 'auto' and remap is None):
        return False
    if remap is None:
        raise ConfigError(
            'ros2 bag play cannot play this recording: images have to be decoded, joints renamed or converted; '
            'give player:=own, or camera_transport:=compressed where all cameras are compressed'
        )
    if installed():
        return True
    if player == 'ros2':
        raise ConfigError('there is no `ros2 bag play` here: install rosbag2, or give player:=own')
    return False


def command(bag: Path, remap: Mapping[str, str], rate: float, span_ns: tuple[int, int]) -> list[str]:
    """The command line; `span_ns`: where to begin after the first message, and for how long [ns]."""
    start_s, length_s = (ns / _NS for ns in span_ns)
    return [
        'ros2',
        'bag',
        'play',
        str(bag),
        '--clock',
        str(_CLOCK_HZ),
        '--rate',
        f'{rate:g}',
        '--start-offset',
        f'{start_s:.9f}',
        '--playback-duration',
        f'{length_s:.9f}',
        '--disable-keyboard-controls',
        '--topics',
        *remap,
        '--remap',
        *(f'{name}:={ours}' for name, ours in remap.items()),
    ]


def play(
    bag: Path,
    remap: Mapping[str, str],
    rate: float,
    span_ns: tuple[int, int],
    spin_until: Callable[[Callable[[], bool], float], bool],
) -> None:
    """Play to the end, calling `spin_until` meanwhile.

    Raises:
        ConfigError: it failed.
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
        raise ConfigError(f'ros2 bag play ended with {child.returncode}: what it said is above')
