# SPDX-License-Identifier: Apache-2.0
"""A robot file as a table: each joint with its limits, and where the commands go."""

from collections.abc import Iterator

from rich.console import Console

from aura_ros.common.tables import FiguresTable
from aura_ros.common.text import printable
from aura_ros.control import RobotConfig
from aura_ros.control.robot_file import CheckedFile


def show(file: CheckedFile, console: Console) -> None:
    """Print the joints, limits, sources and outputs of a robot file."""
    console.print(_joints(file.robot))
    for line in (*_lines(file), *file.notes):
        console.print(printable(line), markup=False)


def _joints(robot: RobotConfig) -> FiguresTable:
    table = FiguresTable(
        keys=('joint', 'unit'), figures=('lower', 'upper', 'velocity_max', 'step_max', 'fastest'), texts=('output',)
    )
    fastest = [
        min(velocity, step * robot.control_hz)
        for velocity, step in zip(robot.velocity_max, robot.step_max, strict=True)
    ]
    output_of = {joint: output.name for output in robot.outputs for joint in output.joint_names}
    limits = (robot.position_lower, robot.position_upper, robot.velocity_max, robot.step_max, fastest)
    for name, unit, *numbers in zip(robot.joint_names, robot.units, *limits, strict=True):
        cells = (f'{number:.4g}' for number in numbers)
        table.add_row(printable(str(name)), str(unit), *cells, output_of[name] or 'all')
    return table


def _lines(file: CheckedFile) -> Iterator[str]:
    robot = file.robot
    yield 'fastest: the lower of velocity_max and step_max at control_hz [rad/s or m/s]'
    yield f'control_hz: {robot.control_hz:g} Hz'
    yield f'joint states: {", ".join(robot.sources.topics)}'
    for joint, age_s in robot.sources.max_age_s.items():
        yield f'oldest usable position of {joint}: {age_s:g} s'
    for joint, ends in robot.sources.maps.items():
        at = f', {ends.robot[1]:g} from {ends.threshold:g} on' if ends.threshold is not None else ''
        (policy_0, policy_1), (robot_0, robot_1) = ends.policy, ends.robot
        of = f'{ends.measured} of the robot, measured' if ends.measured else f'the robot{at}'
        yield f'{joint}: {policy_0:g}..{policy_1:g} of the policy is {robot_0:g}..{robot_1:g} of {of}'
    for output in robot.outputs:
        effort = f', at most {output.max_effort:g} N' if output.max_effort else ''
        state = f', measured on {output.state_topic}' if output.state_topic else ''
        topic = output.command_topic or file.command_topic
        yield f'output {output.name or "of all joints"}: {output.command_type} on {topic}{effort}{state}'
    if (effector := robot.end_effector) is not None:
        low, high = (', '.join(f'{v:g}' for v in box) for box in (effector.workspace_lower, effector.workspace_upper))
        yield f'end effector: {effector.frame} of {effector.model}, moved by {", ".join(effector.joint_names)}'
        yield (
            f'workspace: {low} to {high} m, at most {effector.translation_velocity_max:g} m/s and '
            f'{effector.rotation_velocity_max:g} rad/s'
        )
