# SPDX-License-Identifier: Apache-2.0
"""A robot file as a table: each joint with its limits, and where the commands go."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aura_ros.common.text import printable
from aura_ros.tools.robot.files import CheckedFile


def show(file: CheckedFile, console: Console) -> None:
    """Print the joints, limits and outputs of a robot file."""
    robot = file.robot
    table = Table('joint', 'unit')
    for title in ('lower', 'upper', 'velocity_max', 'step_max', 'fastest'):
        table.add_column(title, justify='right')
    fastest = [
        min(velocity, step * robot.control_hz)
        for velocity, step in zip(robot.velocity_max, robot.step_max, strict=True)
    ]
    limits = (robot.position_lower, robot.position_upper, robot.velocity_max, robot.step_max, fastest)
    for row in zip(robot.joint_names, robot.units, *limits, strict=True):
        name, unit, *numbers = row
        table.add_row(Text(printable(str(name))), str(unit), *(f'{number:.4g}' for number in numbers))
    console.print(table)
    outputs = [
        f'output: {output.command_type} on {output.command_topic or file.command_topic}'
        + (f' for {", ".join(output.joint_names)}' if output.name else '')
        for output in robot.outputs
    ]
    maps = [f'{name}: policy {list(found.policy)} is {list(found.robot)}' for name, found in robot.sources.maps.items()]
    for line in (
        'fastest: the lower of velocity_max and step_max at control_hz [rad/s or m/s]',
        f'control_hz: {robot.control_hz:g} Hz',
        f'joint states: {", ".join(robot.sources.topics)}',
        *outputs,
        *maps,
    ):
        console.print(line, markup=False)
