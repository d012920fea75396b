# SPDX-License-Identifier: Apache-2.0
"""A checkpoint of OpenVLA-OFT's own classes with small random weights, in the layout of the released ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from aura_ros.vla.adapters.oft_classes import import_classes

WIDTH = 64
SIZE = 64
KEY = 'libero_10_no_noops'
ACTIONS = [
    {'name': 'position', 'dims': 3, 'kind': 'ee_position', 'mode': 'delta', 'unit': 'm'},
    {'name': 'rotation', 'dims': 3, 'kind': 'ee_rotation', 'mode': 'delta', 'rotation': 'axis_angle', 'unit': 'rad'},
    {
        'name': 'gripper',
        'dims': 1,
        'kind': 'gripper',
        'mode': 'absolute',
        'range': [0.0, 1.0],
        'binary': True,
        'closes': 'low',
    },
]
STATE = [
    {'name': 'position', 'dims': 3, 'kind': 'ee_position', 'unit': 'm'},
    {'name': 'rotation', 'dims': 3, 'kind': 'ee_rotation', 'rotation': 'axis_angle', 'unit': 'rad'},
    {'name': 'fingers', 'dims': 2, 'kind': 'gripper', 'unit': 'm'},
]


def statistics() -> dict[str, Any]:
    """Return statistics that scale each column in another way; the gripper is not normalised."""

    def columns(count: int, gripper: bool) -> dict[str, Any]:
        high = np.arange(1, count + 1) / 10
        mask = [True] * (count - 1) + [not gripper]
        both = {'q01': (-high / 2).tolist(), 'q99': high.tolist(), 'min': (-high).tolist(), 'max': high.tolist()}
        return both | {'mask': mask}

    return {KEY: {'action': columns(7, True), 'proprio': columns(8, False), 'num_transitions': 1}}


def tokenizer(folder: Path) -> None:
    """Write a tokenizer whose tokens have the numbers of Llama's where the model relies on them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {f'<{number}>': number for number in range(32000)}
    words |= {'<s>': 1, '</s>': 2, '<unk>': 0}
    text = [
        'In',
        ':',
        'What',
        'action',
        'should',
        'the',
        'robot',
        'take',
        'to',
        'pick',
        'up',
        'red',
        'cube',
        '?',
        'Out',
        'put',
        'open',
        'drawer',
    ]
    taken = {number: word for word, number in words.items()}
    vocabulary = {word: number for number, word in taken.items()} | {word: 1000 + i for i, word in enumerate(text)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token='<unk>'))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing('<s> $A', special_tokens=[('<s>', 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token='<s>', eos_token='</s>', unk_token='<unk>', pad_token='</s>'
    ).save_pretrained(folder)


def make(folder: Path, cameras: tuple[str, ...] = ('front', 'wrist'), parallel: bool = True) -> Path:
    """Write the checkpoint and the file of its model; return the file.

    Args:
        folder: where to write.
        cameras: names of the images.
        parallel: whether head and projector have the names of parallel training, as the released ones.
    """
    classes = import_classes('libero')
    torch.manual_seed(1)
    numbers = {
        'hidden_size': WIDTH,
        'intermediate_size': 128,
        'num_hidden_layers': 2,
        'num_attention_heads': 4,
        'num_key_value_heads': 4,
        'vocab_size': 32064,
        'pad_token_id': 32000,
    }
    config = classes.config(
        vision_backbone_id='dinosiglip-vit-so-224px',
        llm_backbone_id='llama2-7b-pure',
        norm_stats={},
        text_config=numbers,
        timm_model_ids=['vit_tiny_patch16_224'] * 2,
        image_sizes=[SIZE, SIZE],
        pad_token_id=32000,
    )
    checkpoint = folder / 'oft'
    classes.model(config).save_pretrained(checkpoint, max_shard_size='2MB')
    half = [0.5] * 3
    classes.image_processor(
        use_fused_vision_backbone=True,
        image_resize_strategy='resize-naive',
        input_sizes=[[3, SIZE, SIZE]] * 2,
        interpolations=['bicubic'] * 2,
        means=[[0.485, 0.456, 0.406], half],
        stds=[[0.229, 0.224, 0.225], half],
    ).save_pretrained(checkpoint)
    tokenizer(checkpoint)
    head = classes.action_head(input_dim=WIDTH, hidden_dim=WIDTH, action_dim=7)
    projector = classes.proprio_projector(llm_dim=WIDTH, proprio_dim=8)
    for name, part in (('action_head', head), ('proprio_projector', projector)):
        weights = {('module.' if parallel else '') + key: value for key, value in part.state_dict().items()}
        torch.save(weights, checkpoint / f'{name}--150000_checkpoint.pt')
    (checkpoint / 'dataset_statistics.json').write_text(json.dumps(statistics()))
    return write_file(folder / 'oft.yaml', checkpoint, cameras)


def write_file(path: Path, checkpoint: Path, cameras: tuple[str, ...], **changes: Any) -> Path:
    """Write the file of a model; `changes` replace keys, and a value of None removes its key."""
    content = {
        'checkpoint': str(checkpoint),
        'name': 'tiny_oft',
        'cameras': list(cameras),
        'joint_names': ['x', 'y', 'z', 'rx', 'ry', 'rz', 'left_finger', 'right_finger'],
        'state': STATE,
        'actions': ACTIONS,
        'chunk_size': 8,
        'n_action_steps': 8,
        'seconds_per_action': 0.05,
        'features': {'tap': 'action_tokens'},
        'openvla_oft': {'dtype': 'float32', 'rotate_180': list(cameras)},
    }
    content = {key: value for key, value in (content | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(content))
    return path
