# SPDX-License-Identifier: Apache-2.0
"""What the nodes say of themselves, newest only, and who has fallen silent. Ages are on a steady clock, passed in."""

from __future__ import annotations

import math

from aura_ros.rqt.answers import NodeReport
from aura_ros.rqt.points import CachePoint, DiagnosticPoint, GatePoint, Point, PolicyPoint, StepPoint, WritePoint

# Diagnostics come once a second, policy_status twice: half a report more is granted, and a second to the switch.
_SILENT_S = 2.5
_SWITCH_SILENT_S = 1.0
_CHECKS = 200
_SWITCH = 'policy_switch_node'
_ERROR = 2


class Reports:
    """The newest word of every node.

    policy, cache, write: newest PolicyPoint, CachePoint and WritePoint; None before the first.
    episode_id, seq: of the newest step heard of; '' and -1 before the first.
    heard_s: when anything was heard last, -inf before [s, steady clock].
    """

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.policy: PolicyPoint | None = None
        self.cache: CachePoint | None = None
        self.write: WritePoint | None = None
        self.episode_id, self.seq = '', -1
        self.heard_s = -math.inf
        self._policy_heard_s = -math.inf
        self._checks: dict[str, tuple[DiagnosticPoint, float]] = {}

    def hear(self, point: Point, now_s: float) -> None:
        """Take a point in, heard at `now_s`."""
        self.heard_s = max(self.heard_s, now_s)
        if isinstance(point, DiagnosticPoint):
            self._checks.pop(point.name, None)
            self._checks[point.name] = point, now_s
            if len(self._checks) > _CHECKS:
                del self._checks[next(iter(self._checks))]
        elif isinstance(point, PolicyPoint):
            self.policy, self._policy_heard_s = point, now_s
        elif isinstance(point, (GatePoint, StepPoint)):
            self.episode_id, self.seq = point.episode_id, point.seq
        elif isinstance(point, CachePoint):
            self.cache = point
        elif isinstance(point, WritePoint):
            self.write = point

    def check(self, name: str) -> DiagnosticPoint | None:
        """The newest status of a check, 'NODE: CHECK', unless its node has left it out since."""
        found = self._checks.get(name)
        if found is None:
            return None
        node = _node(name)
        newest = max(heard for other, (_, heard) in self._checks.items() if _node(other) == node)
        return found[0] if newest - found[1] < _SILENT_S else None

    def number(self, name: str, key: str) -> float:
        """A value of a check as a number, NaN where there is none."""
        point = self.check(name)
        try:
            return float(point.values[key]) if point is not None else math.nan
        except (KeyError, ValueError):  # 'unknown', 'none', or another version's node
            return math.nan

    def nodes(self, now_s: float) -> tuple[NodeReport, ...]:
        """All nodes that ever reported, by name."""
        by_node: dict[str, list[tuple[DiagnosticPoint, float]]] = {}
        for name, told in self._checks.items():
            by_node.setdefault(_node(name), []).append(told)
        return tuple(self._node_report(name, by_node[name], now_s) for name in sorted(by_node))

    def _node_report(self, name: str, told: list[tuple[DiagnosticPoint, float]], now_s: float) -> NodeReport:
        newest = max(heard for _, heard in told)
        current = [point for point, heard in told if newest - heard < _SILENT_S]
        worst = max(current, key=lambda point: point.level)
        state = next((p.values.get('state', '') for p in current if p.name == f'{name}: lifecycle'), '')
        limit = _SILENT_S
        if name == _SWITCH and state == 'active' and self.policy is not None:
            newest, limit = max(newest, self._policy_heard_s), _SWITCH_SILENT_S
        heard_s = max(0.0, now_s - newest)
        message = f'{worst.name.partition(": ")[2]}: {worst.message}'
        return NodeReport(name, state, worst.level, message, heard_s, heard_s > limit)

    def stale(self, now_s: float) -> str:
        """Say who has not been heard for too long, '' while all is well."""
        if self.heard_s == -math.inf:
            return 'nothing heard yet'
        nodes = self.nodes(now_s)
        silent = [node for node in nodes if node.silent]
        if now_s - self.heard_s > _SWITCH_SILENT_S and (self.policy is not None or len(silent) == len(nodes)):
            return f'nothing heard for {now_s - self.heard_s:.0f} s'
        return ', '.join(f'{node.name} silent for {node.heard_s:.0f} s' for node in silent)

    def misses(self) -> dict[str, int]:
        """How often something came too late, since the nodes were activated."""
        counts: dict[str, int] = {}
        if self.policy is not None:
            counts['held'] = self.policy.holds
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
