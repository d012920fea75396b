# SPDX-License-Identifier: Apache-2.0
"""The movable joints of a URDF, with their limits.

lxml parses the text with limits, and urdf_parser_py, the parser of ROS, reads each joint. Only the joints are read:
no mesh, no other file and no network.
"""

import contextlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lxml import etree
from urdf_parser_py.urdf import Joint
from urdf_parser_py.xml_reflection.core import ParseError, Path

from aura_ros.common.errors import ConfigError
from aura_ros.common.limits import TEXT_BYTES, URDF_JOINTS, XML_TAGS
from aura_ros.common.text_files import loading

UNITS = {'revolute': 'rad', 'continuous': 'rad', 'prismatic': 'm'}
"""Unit of each joint type with one degree of freedom (REP 103)."""
CONTINUOUS = math.pi
"""Limit on both sides that replaces the missing position limits of a continuous joint [rad]."""


@dataclass(frozen=True)
class UrdfJoint:
    """A joint that a controller moves."""

    name: str
    kind: str
    """'revolute', 'continuous' or 'prismatic'."""
    lower: float
    """Lower position limit [rad or m]."""
    upper: float
    """Upper position limit [rad or m]."""
    velocity: float
    """Largest speed [rad/s or m/s]."""

    @property
    def unit(self) -> str:
        """'rad' or 'm'."""
        return UNITS[self.kind]


@dataclass(frozen=True)
class UrdfRobot:
    """What a robot file takes from a URDF."""

    name: str
    base: str
    """Root link."""
    joints: tuple[UrdfJoint, ...]
    """The selected joints, in the order given, or from the base to the tip."""
    left_out: Mapping[str, str]
    """Every other joint with the reason."""


def read_urdf(text: str, source: str, wanted: Sequence[str] = ()) -> UrdfRobot:
    """Return the joints of URDF text.

    Args:
        text: content of a URDF file or of /robot_description.
        source: name of the file or topic, for errors.
        wanted: names of the joints in the order of the policy's action; empty: all movable joints.

    Raises:
        ConfigError: the text is not a URDF, exceeds a limit, or lacks a limit of a selected joint; the text names it.
    """
    with loading(source):
        root = _root(text, source)
        joints = _joints(root, source)
        base, ordered = _from_base(joints)
        reasons = {joint.name: _reason(joint) for joint in ordered}
        names = list(wanted) or [name for name, reason in reasons.items() if not reason]
        _check_names(names, reasons, source)
        selected = tuple(_limits(joints[name], source) for name in names)
        left_out = {name: reason or 'not in --joints' for name, reason in reasons.items() if name not in names}
        return UrdfRobot(str(root.get('name', '')), base, selected, left_out)


def _root(text: str, source: str) -> etree._Element:
    data = text.encode()
    if len(data) > TEXT_BYTES:
        raise ConfigError(f'{source}: is larger than {TEXT_BYTES:,} bytes')
    if '<!DOCTYPE' in text or '<!ENTITY' in text:
        raise ConfigError(f'{source}: has a DOCTYPE or an ENTITY, which a URDF does not need: remove it')
    if text.count('<') > XML_TAGS:
        raise ConfigError(f'{source}: has more than {XML_TAGS:,} XML tags')
    if '<xacro:' in text:
        raise ConfigError(_run_xacro(source))
    parser = etree.XMLParser(
        encoding='utf-8', resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise ConfigError(f'{source}: is not valid XML: {error.msg}') from error
    kind = etree.QName(root).localname
    if kind != 'robot':
        raise ConfigError(f'{source}: the root element is <{kind}>: must be <robot>; give a URDF file')
    return root


def _run_xacro(source: str) -> str:
    return f'{source}: is a xacro file: run xacro first (xacro {source} > robot.urdf) and give robot.urdf'


def _joints(root: etree._Element, source: str) -> dict[str, Joint]:
    found: dict[str, Joint] = {}
    for element in root:
        if etree.QName(element).localname != 'joint':
            continue
        name = element.get('name', '')
        if not name or not name.isprintable():
            raise ConfigError(f'{source}: joint {len(found) + 1} is named {name!r}: must have a printable name')
        if name in found:
            raise ConfigError(f'{source}: joint {name!r} is defined twice: rename one of the two')
        if len(found) == URDF_JOINTS:
            raise ConfigError(f'{source}: has more than {URDF_JOINTS:,} joints')
        found[name] = _joint(element, name, source)
    if not found:
        raise ConfigError(f'{source}: has no joints')
    return found


def _joint(element: etree._Element, name: str, source: str) -> Joint:
    for part in element.iter():
        part.tag = etree.QName(part).localname
        if any('${' in value or '$(' in value for value in part.attrib.values()):
            raise ConfigError(_run_xacro(source))
        if part.tag == 'limit':
            # The parser requires both. The effort is not used, and a missing velocity gets its own sentence below.
            part.attrib.update({'effort': '0', 'velocity': part.get('velocity', 'nan')})
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the parser prints a line for each tag that it does not read
            return Joint.from_xml(element, Path('joint'))
    except ParseError as error:
        raise ConfigError(f'{source}: joint {name!r}: {error.e}') from error


def _from_base(joints: Mapping[str, Joint]) -> tuple[str, list[Joint]]:
    """Return the root link, and the joints from there to the tips, one branch after the other."""
    below: dict[str, list[Joint]] = {}
    for joint in joints.values():
        below.setdefault(joint.parent, []).append(joint)
    children = {joint.child for joint in joints.values()}
    roots = [link for link in below if link not in children]
    ordered: dict[str, Joint] = {}
    waiting = [joint for link in reversed(roots) for joint in reversed(below[link])]
    while waiting:
        joint = waiting.pop()
        if joint.name not in ordered:
            ordered[joint.name] = joint
            waiting.extend(reversed(below.get(joint.child, [])))
    # Joints in a loop have no root; they keep the order of the file.
    ordered |= {name: joint for name, joint in joints.items() if name not in ordered}
    return (roots or list(below))[0], list(ordered.values())


def _reason(joint: Joint) -> str:
    """Return why a joint cannot be commanded; '' if it can."""
    if joint.type not in UNITS:
        return str(joint.type)
    return f'a mimic of {joint.mimic.joint}' if joint.mimic else ''


def _check_names(names: Sequence[str], reasons: Mapping[str, str], source: str) -> None:
    movable = ', '.join(name for name, reason in reasons.items() if not reason) or 'none'
    if not names:
        raise ConfigError(f'{source}: has no movable joint (revolute, continuous or prismatic)')
    for name in names:
        if name not in reasons:
            raise ConfigError(f'{source}: has no joint {name!r}: --joints must be among {movable}')
        if reasons[name]:
            raise ConfigError(f'{source}: joint {name!r} is {reasons[name]}: --joints must be among {movable}')
        if names.count(name) > 1:
            raise ConfigError(f'--joints contains {name!r} twice: name every joint once')


def _limits(joint: Joint, source: str) -> UrdfJoint:
    problem = _problem(joint)
    if problem:
        raise ConfigError(
            f'{source}: joint {joint.name!r} {problem}; correct its <limit lower= upper= velocity= effort=> '
            'in the URDF, or leave the joint out with --joints'
        )
    continuous = joint.type == 'continuous'
    lower, upper = (-CONTINUOUS, CONTINUOUS) if continuous else (joint.limit.lower, joint.limit.upper)
    return UrdfJoint(joint.name, joint.type, lower, upper, joint.limit.velocity)


def _problem(joint: Joint) -> str:
    """Return what is wrong with the limits of a joint; '' if nothing is."""
    limit, unit = joint.limit, UNITS[joint.type]
    if limit is None:
        return 'has no <limit>'
    if math.isnan(limit.velocity):
        return 'has no velocity limit'
    if not 0.0 < limit.velocity < math.inf:
        return f'has the velocity limit {limit.velocity!r}: must be above 0 {unit}/s and finite'
    if joint.type == 'continuous':
        return ''
    if limit.lower == limit.upper == 0.0:
        return 'has no position limits'
    if not -math.inf < limit.lower < limit.upper < math.inf:
        return f'has the position limits {limit.lower!r}..{limit.upper!r}: must be finite, and lower below upper'
    return ''
