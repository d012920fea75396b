# SPDX-License-Identifier: Apache-2.0
"""The contract of a policy server: JSON there and back, and every mistake refused with its field."""

from dataclasses import replace
from typing import Any

import pytest
from remote_rig import CONTRACT, PLAIN, SPEC

from aura_ros.common.errors import ConfigError
from aura_ros.vla import load_backbone
from aura_ros.vla.remote.contract import Contract, Features


def test_metadata_there_and_back() -> None:
    metadata = CONTRACT.to_metadata()
    assert metadata['aura'] == 1
    assert metadata['features'] == {'tap': 'model.head input', 'pool': 'mean', 'dim': 5}
    assert Contract.from_metadata(metadata) == CONTRACT
    assert CONTRACT.spec == SPEC


def test_embedded_backbone_fits_into_a_contract() -> None:
    pytest.importorskip('onnxruntime')
    spec = load_backbone('embedded').spec
    found = Contract.from_metadata(Contract.of(spec, Features('features')).to_metadata())
    assert found is not None
    assert found.spec.action_spec.is_absolute_joints
    assert replace(found.spec, components=()) == spec


def test_metadata_of_another_server_have_no_contract() -> None:
    assert Contract.from_metadata({'reset_pose': [0.0]}) is None


def test_further_metadata_are_ignored() -> None:
    assert Contract.from_metadata(CONTRACT.to_metadata() | {'reset_pose': [0.0]}) == CONTRACT


@pytest.mark.parametrize(
    ('changes', 'problem'),
    [
        ({'aura': 2}, 'aura = 2: must be 1'),
        ({'cameras': 'front'}, 'cameras'),
        ({'cameras': ['front', 'front']}, 'different names'),
        ({'cameras': ['state']}, 'none of them state'),
        ({'cameras': ['position']}, 'different names'),
        ({'joint_names': ['x']}, 'measured values'),
        ({'joint_names': 8}, 'joint_names'),
        ({'actions': []}, 'components'),
        ({'actions': [{'name': 'a', 'dims': 3, 'kind': 'arm', 'mode': 'delta'}]}, 'kind'),
        ({'chunk_size': 0}, 'chunk_size'),
        ({'chunk_size': 1000}, 'values of a chunk'),
        ({'n_action_steps': 5}, 'n_action_steps'),
        ({'seconds_per_action': float('nan')}, 'seconds_per_action'),
        ({'seconds_per_action': '0.1'}, 'seconds_per_action'),
        ({'state': 'joints'}, 'state'),
        ({'features': {'tap': 'x', 'dim': -1}}, 'features.dim'),
        ({'features': {'tap': '', 'dim': 1}}, 'features.tap'),
        ({'features': {'tap': 'x', 'pool': 'max', 'dim': 1}}, 'features.pool'),
        ({'features': 'mean'}, 'features'),
        ({'deterministic': 'yes'}, 'deterministic'),
        ({'backbone_hash': 'abc'}, 'backbone_hash'),
        ({'keys': ['a']}, 'keys'),
        ({'keys': {'side': 'x'}}, 'name in keys'),
        ({'keys': {'front': 'observation/wrist'}}, 'must be different'),
        ({'keys': {'front': 7}}, 'keys.front'),
        ({'image_size': [32]}, 'image_size'),
        ({'name': 'x' * 99}, 'name'),
    ],
)
def test_mistakes_are_refused_with_their_field(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Contract.from_metadata(CONTRACT.to_metadata() | changes)


@pytest.mark.parametrize('key', ['cameras', 'joint_names', 'actions', 'chunk_size', 'seconds_per_action'])
def test_missing_keys_are_named(key: str) -> None:
    metadata = CONTRACT.to_metadata()
    del metadata[key]
    with pytest.raises(ConfigError, match=f'{key} is missing'):
        Contract.from_metadata(metadata)


def test_hash_of_a_contract_depends_on_it() -> None:
    assert PLAIN.sha256 == replace(PLAIN).sha256
    assert PLAIN.sha256 != replace(PLAIN, keys={'prompt': 'task'}).sha256
