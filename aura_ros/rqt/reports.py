# SPDX-License-Identifier: Apache-2.0
"""The newest report of each node, and which nodes are silent. Ages are on a steady clock that the caller passes in."""

import math

from aura_ros.rqt.points import (
    CachePoint,
    CameraPoint,
    DiagnosticPoint,
    GatePoint,
    Point,
    PolicyPoint,
    StepPoint,
    WritePoint,
)
from aura_ros.rqt.view_data import NodeReport

# Diagnostics come once a second, policy_status twice a second. A node is silent after 2.5 and 2 missed reports.
_SILENT_S = 2.5
_SWITCH_SILENT_S = 1.0
_MAX_CHECKS = 200
_SWITCH = 'policy_switch_node'


class NodeReports:
    """The newest reports of all nodes."""

    def __init__(self) -> None:
        self.policy: PolicyPoint | None = None
        self.cache: CachePoint | None = None
        self.write: WritePoint | None = None
        self.camera: CameraPoint | None = None
        self.camera_received_s = -math.inf
        """When the last image arrived [s, steady clock]."""
        self.episode_id, self.seq = '', -1
        """Episode and number of the newest step; '' and -1 before the first."""
        self.received_s = -math.inf
        """When the last message arrived [s, steady clock]; -inf before the first."""
        self.step_received_s = -math.inf
        """When the last message of a step arrived [s, steady clock]; -inf before the first."""
        self._policy_received_s = -math.inf
        self._checks: dict[str, tuple[DiagnosticPoint, float]] = {}

    def receive(self, point: Point, now_s: float) -> None:
        """Store a point that arrived at `now_s`."""
        self.received_s = max(self.received_s, now_s)
        if isinstance(point, (GatePoint, StepPoint)):
            self.step_received_s = now_s
        if isinstance(point, DiagnosticPoint):
            self._checks.pop(point.name, None)
            self._checks[point.name] = point, now_s
            if len(self._checks) > _MAX_CHECKS:
                del self._checks[next(iter(self._checks))]
        elif isinstance(point, PolicyPoint):
            self.policy, self._policy_received_s = point, now_s
        elif isinstance(point, (GatePoint, StepPoint)):
            self.episode_id, self.seq = point.episode_id, point.seq
        elif isinstance(point, CameraPoint):
            self.camera, self.camera_received_s = point, now_s
        elif isinstance(point, CachePoint):
            self.cache = point
        elif isinstance(point, WritePoint):
            self.write = point

    def policy_known(self, now_s: float) -> bool:
        """Return whether the reports of the policy switch arrive."""
        return now_s - self._policy_received_s <= _SWITCH_SILENT_S

    def check(self, name: str) -> DiagnosticPoint | None:
        """Return the newest status of the check 'NODE: CHECK', None if its node no longer reports it."""
        found = self._checks.get(name)
        if found is None:
            return None
        node = _node(name)
        newest = max(at for other, (_, at) in self._checks.items() if _node(other) == node)
        return found[0] if newest - found[1] < _SILENT_S else None

    def number(self, name: str, key: str) -> float:
        """Return a value of a check as a number, NaN if there is none."""
        point = self.check(name)
        try:
            return float(point.values[key]) if point is not None else math.nan
        except (KeyError, ValueError):  # 'unknown', 'none', or a node of another version
            return math.nan

    def nodes(self, now_s: float) -> tuple[NodeReport, ...]:
        """Return all nodes that ever reported, by name."""
        by_node: dict[str, list[tuple[DiagnosticPoint, float]]] = {}
        for name, check in self._checks.items():
            by_node.setdefault(_node(name), []).append(check)
        return tuple(self._node_report(name, by_node[name], now_s) for name in sorted(by_node))

    def _node_report(self, name: str, checks: list[tuple[DiagnosticPoint, float]], now_s: float) -> NodeReport:
        newest = max(at for _, at in checks)
        current = [point for point, at in checks if newest - at < _SILENT_S]
        worst = max(current, key=lambda point: point.level)
        state = next((p.values.get('state', '') for p in current if p.name == f'{name}: lifecycle'), '')
        limit = _SILENT_S
        if name == _SWITCH and state == 'active' and self.policy is not None:
            newest, limit = max(newest, self._policy_received_s), _SWITCH_SILENT_S
        age_s = max(0.0, now_s - newest)
        message = f'{worst.name.partition(": ")[2]}: {worst.message}'
        return NodeReport(name, state, worst.level, message, age_s, age_s > limit)

    def stale(self, now_s: float) -> str:
        """Return which messages are overdue as text, '' when none are."""
        if self.received_s == -math.inf:
            return 'no message received yet'
        nodes = self.nodes(now_s)
        silent = [node for node in nodes if node.silent]
        if now_s - self.received_s > _SWITCH_SILENT_S and (self.policy is not None or len(silent) == len(nodes)):
            return f'no message for {now_s - self.received_s:.0f} s'
        return ', '.join(f'no report from {node.name} for {node.age_s:.0f} s' for node in silent)

    def misses(self) -> dict[str, int]:
        """Return how often something was late since the nodes were activated, by name."""
        counts: dict[str, int] = {}
        if self.policy is not None:
            counts['holds'] = self.policy.holds
        for name, endings in (
            (f'{_SWITCH}: switch', (' late', ' stale')),
            ('vla_node: backbone', ('dropped observation',)),
        ):
            point = self.check(name)
            for key, value in ({} if point is None else point.values).items():
                if key.endswith(endings) and value.isdecimal():
                    counts[key] = int(value)
        return counts


def _node(check: str) -> str:
    return check.partition(': ')[0]
