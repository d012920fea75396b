# SPDX-License-Identifier: Apache-2.0
"""The page before the first message: what to type next, and where the monitor looks for a robot."""

import os

from aura_ros.rqt.qt import Qt, QtWidgets
from aura_ros.rqt.views.panel import ViewPanel, label

_COMMANDS = (
    ('the demo, in a clone', './run demo'),
    ('the demo, in a workspace', 'ros2 launch aura_ros demo.launch.yaml'),
    ('your robot', 'ros2 launch aura_ros aura.launch.yaml robot_file:=FILE'),
    ('a recording', 'ros2 bag play BAG --clock'),
)


class IdlePage(ViewPanel):
    """Says what to do until a robot is found."""

    def __init__(self, domain_id: int) -> None:
        """Name the ROS domain `domain_id`."""
        super().__init__(f'No robot found yet on ROS domain {domain_id}', '')
        self.title.setProperty('role', 'large')
        grid = QtWidgets.QGridLayout()
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(8)
        grid.addWidget(label('Start one of these in another terminal:'), 0, 0, 1, 2)
        self.commands = [label(command, 'code') for _, command in _COMMANDS]
        for row, ((what, _), command) in enumerate(zip(_COMMANDS, self.commands, strict=True), 1):
            command.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
            grid.addWidget(label(what, 'caption'), row, 0)
            grid.addWidget(command, row, 1)
        reach = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
        self.domain = label(
            f'That terminal needs the same domain: export ROS_DOMAIN_ID={domain_id}. Discovery range: {reach}. '
            'The page appears with the first message.'
        )
        self.domain.setWordWrap(True)
        grid.addWidget(self.domain, len(_COMMANDS) + 1, 0, 1, 2)
        grid.setColumnStretch(1, 1)
        self.body.addSpacing(12)
        self.body.addLayout(grid)
        self.body.addStretch(1)
