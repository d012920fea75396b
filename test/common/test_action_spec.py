# SPDX-License-Identifier: Apache-2.0
"""The specs of actions and states: conventions in use, JSON both ways, errors that name the fix, and differences."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_ros.common.action_codes import CODES, code, components_of
from aura_ros.common.action_columns import ActionColumns
from aura_ros.common.action_spec import MODES, ActionComponent, ActionSpec
from aura_ros.common.errors import ConfigError, InputError
from aura_ros.common.spec_fields import KINDS, ROTATIONS, UNITS
from aura_ros.common.state_spec import StatePart, StateSpec

LIBERO = ActionSpec(
    (
        ActionComponent('translation', 3, 'ee_position', 'delta', unit='1', range=(-1.0, 1.0)),
        ActionComponent('rotation', 3, 'ee_rotation', 'delta', rotation='axis_angle', unit='1', range=(-1.0, 1.0)),
        ActionComponent('gripper', 1, 'gripper', 'absolute', range=(-1.0, 1.0), binary=True, closes='high'),
    ),
    chunk_size=8,
    n_action_steps=8,
    seconds_per_action=0.05,
)
DROID = ActionSpec(
    (
        ActionComponent('joints', 7, 'joint', 'velocity', unit='rad/s'),
        ActionComponent('gripper', 1, 'gripper', 'absolute', range=(0.0, 1.0), binary=True, closes='high'),
    ),
    chunk_size=10,
    n_action_steps=8,
    seconds_per_action=1 / 15,
)
SO101 = ActionSpec((ActionComponent('joints', 6, 'joint', 'absolute', unit='deg'),), 100, 50, 1 / 30)
CONVENTIONS = {'libero': LIBERO, 'droid': DROID, 'so101': SO101}
STATE = StateSpec(
    (
        StatePart('ee_position', 3, 'ee_position', unit='m'),
        StatePart('ee_rotation', 4, 'ee_rotation', rotation='quaternion_xyzw'),
        StatePart('gripper', 2, 'gripper', unit='m'),
    )
)


@pytest.mark.parametrize('spec', CONVENTIONS.values(), ids=CONVENTIONS)
def test_conventions_survive_json(spec):
    assert ActionSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_the_state_survives_json():
    assert StateSpec.from_dict(json.loads(json.dumps(STATE.to_dict()))) == STATE
    assert STATE.measured == 8  # a rotation is measured by three values
    with pytest.raises(ConfigError, match='must take 9 measured values'):
        STATE.check_measured(9)


@st.composite
def components(draw):
    kind, mode = draw(st.sampled_from(KINDS)), draw(st.sampled_from(MODES))
    rotation = draw(st.sampled_from(tuple(ROTATIONS))) if kind == 'ee_rotation' else ''
    if mode == 'velocity' and rotation:
        rotation = 'axis_angle'
    dims = {'ee_position': 3, 'gripper': 1}.get(kind, ROTATIONS.get(rotation, draw(st.integers(1, 8))))
    low = draw(st.floats(-10, 0))
    span = draw(st.none() | st.just((low, low + 1.0)))
    unit = draw(st.sampled_from(('', *UNITS)))
    return ActionComponent(draw(st.sampled_from('abc')), dims, kind, mode, rotation, unit=unit, range=span)


@given(components())
def test_every_component_survives_json_and_has_a_rest(component):
    assert ActionComponent.from_dict(json.loads(json.dumps(component.to_dict()))) == component
    assert len(component.neutral) == component.dims


BAD = {
    "kind = 'arm': must be one of joint,": {'kind': 'arm'},
    "mode = 'relative': must be one of absolute,": {'mode': 'relative'},
    'dims = 2: must be a whole number in 3..3': {'dims': 2},
    'dims = 3.0: must be a whole number in 3..3': {'dims': 3.0},
    "rotation = 'axis_angle': must be one of ''; leave it out": {'rotation': 'axis_angle'},
    "frame = 'tool': must be one of '', base, end_effector": {'frame': 'tool'},
    "unit = 'mm': must be one of": {'unit': 'mm'},
    'range = (1.0, -1.0): must be two finite numbers': {'range': [1.0, -1.0]},
    'range = (0.0, nan): must be two finite numbers': {'range': [0.0, float('nan')]},
    "range = '01': must be two finite numbers": {'range': '01'},
    'binary = True: must be false with kind ee_position': {'binary': True},
    "closes = 'low': must be one of ''": {'closes': 'low'},
    'colour is unknown: must be one of name, dims': {'colour': 1},
}


@pytest.mark.parametrize(('text', 'changes'), BAD.items(), ids=lambda value: str(value)[:20])
def test_a_bad_component_is_refused_by_field_value_and_fix(text, changes):
    good = {'name': 'move', 'dims': 3, 'kind': 'ee_position', 'mode': 'delta'}
    with pytest.raises(ConfigError) as error:
        ActionComponent.from_dict(good | changes)
    assert text in str(error.value)


@pytest.mark.parametrize('value', [None, [], {}, {'components': []}, LIBERO.to_dict() | {'components': {}}])
def test_what_is_no_spec_is_refused(value):
    with pytest.raises(ConfigError):
        ActionSpec.from_dict(value)


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        ({'chunk_size': 0}, 'chunk_size = 0: must be a whole number in 1..4096'),
        ({'n_action_steps': 9}, 'n_action_steps = 9: must be a whole number in 1..8'),
        ({'seconds_per_action': 0.0}, 'seconds_per_action = 0.0: must be 0.001..60 s'),
        ({'components': ()}, 'number of components = 0'),
        ({'components': (LIBERO.components[0],) * 2}, "the name 'translation' twice"),
        ({'components': (LIBERO.components[0], replace(LIBERO.components[0], name='x'))}, 'one ee_position'),
    ],
)
def test_a_bad_spec_is_refused(change, text):
    with pytest.raises(ConfigError, match=text):
        replace(LIBERO, **change)


def test_specs_that_differ_are_both_printed():
    other = replace(LIBERO, components=(*LIBERO.components[:2], replace(LIBERO.components[2], closes='low')))
    text = LIBERO.diff(other, 'the backbone', 'the memory')
    assert not LIBERO.compatible(other) and LIBERO.sha256 != other.sha256
    assert f'the backbone: {LIBERO.text}' in text and f'the memory: {other.text}' in text


def test_labels_and_executed_steps_do_not_matter():
    renamed = replace(LIBERO.components[0], name='position', frame='base')
    other = replace(LIBERO, components=(renamed, *LIBERO.components[1:]), n_action_steps=4)
    assert LIBERO.compatible(other) and not LIBERO.diff(other) and LIBERO.sha256 == other.sha256
    assert not LIBERO.compatible(replace(LIBERO, seconds_per_action=0.1))


def test_a_spec_that_is_left_out_means_absolute_joints():
    plain = ActionSpec.absolute_joints(8, 8, 4, 0.05)
    assert plain.is_absolute_joints and plain.dims == 8
    assert not any(spec.is_absolute_joints for spec in CONVENTIONS.values())  # degrees have to be named


def test_motions_rest_at_zero_and_rotations_at_the_identity():
    turned = ActionComponent('turn', 4, 'ee_rotation', 'delta', rotation='quaternion_xyzw')
    kept = replace(turned, name='keep', mode='absolute')
    columns = ActionColumns.of((turned, kept), 8)
    assert columns.moves.tolist() == [True] * 4 + [False] * 4
    assert np.array_equal(columns.neutral, [0, 0, 0, 1, 0, 0, 0, 0])
    libero = ActionColumns.of(LIBERO.components, 7)
    assert not libero.neutral.any() and libero.binary.tolist() == [False] * 6 + [True]
    assert (libero.low[6], libero.span[6]) == (-1.0, 2.0)
    assert ActionColumns.of((), 5).plain and not libero.plain


@given(components())
def test_every_component_survives_a_message(component):
    """A recorded message has the same fields as a live one."""
    coded = {field: code(field, getattr(component, field)) for field in CODES}
    message = SimpleNamespace(**(vars(component) | coded | {'range': component.range or ()}))
    assert components_of(SimpleNamespace(components=[message]), component.dims) == (component,)


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'kind': 9}, 'kind = 9: must be 0..4'),
        ({'range': (1.0,)}, 'must have no or two values'),
        ({'dims': 2}, 'dims = 2: must be a whole number in 3..3'),
        ({'unit': 'furlong'}, "unit = 'furlong': must be one of"),
    ],
)
def test_a_message_with_bad_components_is_refused(changes, text):
    good = {'name': 'x', 'dims': 3, 'unit': 'm', 'range': (), 'binary': False} | dict.fromkeys(CODES, 0) | {'kind': 1}
    assert components_of(SimpleNamespace(components=[SimpleNamespace(**good)]), 3)
    with pytest.raises(InputError, match=text):
        components_of(SimpleNamespace(components=[SimpleNamespace(**good | changes)]), 3)
    with pytest.raises(InputError, match='have 3 columns: must be action_dim = 4'):
        components_of(SimpleNamespace(components=[SimpleNamespace(**good)]), 4)
