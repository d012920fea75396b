# SPDX-License-Identifier: Apache-2.0
"""A checkpoint of OpenVLA-OFT's own classes with random weights, in the layout of the released ones.

It shows what a model of that size needs in time and memory, and tests the adapter. Its actions mean nothing.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from aura_ros.vla.adapters.oft_classes import OftClasses, import_classes

KEY = 'libero_10_no_noops'
"""Name of the statistics."""
SEED = 1


@dataclass(frozen=True)
class OftSize:
    """Sizes of a model."""

    width: int
    """Width of the language model, and so of the features."""
    inner_width: int
    layers: int
    heads: int
    image: int
    """Height and width of an image [px]."""
    vision: tuple[str, str]
    """The two vision encoders, by their names in timm."""
    shard: str
    """Largest file of weights."""
    dtype: str = 'float32'
    """Type of the weights."""


SIZES: Mapping[str, OftSize] = {
    'tiny': OftSize(64, 128, 2, 4, 64, ('vit_tiny_patch16_224', 'vit_tiny_patch16_224'), '2MB'),
    '7b': OftSize(
        width=4096,
        inner_width=11008,
        layers=32,
        heads=32,
        image=224,
        vision=('vit_large_patch14_reg4_dinov2.lvd142m', 'vit_so400m_patch14_siglip_224'),
        shard='5GB',
        dtype='bfloat16',
    ),
}
"""Small for tests; and as OpenVLA 7B, whose shapes are in the configuration of the released checkpoints."""
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
POSE = [f'{part}_{axis}' for part in ('position', 'rotation') for axis in 'xyz']
"""Axes of the measured pose, by the names that vla_node has for them."""
STATE = [
    {'name': 'position', 'dims': 3, 'kind': 'ee_position', 'unit': 'm'},
    {'name': 'rotation', 'dims': 3, 'kind': 'ee_rotation', 'rotation': 'axis_angle', 'unit': 'rad'},
    {'name': 'fingers', 'dims': 2, 'kind': 'gripper', 'unit': 'm'},
]


def write_checkpoint(
    folder: Path,
    size: str = 'tiny',
    cameras: tuple[str, ...] = ('front', 'wrist'),
    *,
    parallel: bool = True,
    device: str = 'cpu',
) -> Path:
    """Write the checkpoint to `folder`/oft, and the file of its model; return the file.

    Args:
        folder: where to write; created if missing.
        size: key of `SIZES`.
        cameras: names of the images.
        parallel: whether head and projector have the names of parallel training, as the released ones.
        device: where the weights are drawn, and where the file says that the model runs.

    Raises:
        ConfigError: the classes are not installed.
    """
    os.environ.setdefault('TRANSFORMERS_VERBOSITY', 'error')  # advice for the authors of the classes
    import torch

    classes, sizes = import_classes('libero'), SIZES[size]
    checkpoint = folder / 'oft'
    checkpoint.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, sizes.dtype))
    try:
        with torch.device(device):
            model = make_model(classes, sizes)
            head = classes.action_head(input_dim=sizes.width, hidden_dim=sizes.width, action_dim=7)
            projector = classes.proprio_projector(llm_dim=sizes.width, proprio_dim=8)
    finally:
        torch.set_default_dtype(before)
    model.save_pretrained(checkpoint, max_shard_size=sizes.shard)
    for name, part in (('action_head', head), ('proprio_projector', projector)):
        weights = {('module.' if parallel else '') + key: value.cpu() for key, value in part.state_dict().items()}
        torch.save(weights, checkpoint / f'{name}--150000_checkpoint.pt')
    _image_processor(classes, sizes.image).save_pretrained(checkpoint)
    _write_tokenizer(checkpoint)
    (checkpoint / 'dataset_statistics.json').write_text(json.dumps(statistics()))
    options = {'dtype': sizes.dtype, 'device': device, 'rotate_180': list(cameras)}
    return write_file(folder / 'oft.yaml', checkpoint, cameras, openvla_oft=options)


def write_file(path: Path, checkpoint: Path, cameras: tuple[str, ...], **changes: Any) -> Path:
    """Write the file of a model; `changes` replace keys, and a value of None removes its key."""
    content = {
        'checkpoint': str(checkpoint),
        'name': 'random_oft',
        'cameras': list(cameras),
        'joint_names': [*POSE, 'left_finger', 'right_finger'],
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


def statistics() -> dict[str, Any]:
    """Return statistics that scale each column in another way; the gripper is not normalised."""

    def columns(count: int, gripper: bool) -> dict[str, Any]:
        high = np.arange(1, count + 1) / 10
        mask = [True] * (count - 1) + [not gripper]
        both = {'q01': (-high / 2).tolist(), 'q99': high.tolist(), 'min': (-high).tolist(), 'max': high.tolist()}
        return both | {'mask': mask}

    return {KEY: {'action': columns(7, True), 'proprio': columns(8, False), 'num_transitions': 1}}


def make_model(classes: OftClasses, size: OftSize) -> Any:
    """Return the model with random weights."""
    words = {
        'hidden_size': size.width,
        'intermediate_size': size.inner_width,
        'num_hidden_layers': size.layers,
        'num_attention_heads': size.heads,
        'num_key_value_heads': size.heads,
        'vocab_size': 32064,
        'pad_token_id': 32000,
    }
    config = classes.config(
        vision_backbone_id='dinosiglip-vit-so-224px',
        llm_backbone_id='llama2-7b-pure',
        norm_stats={},
        text_config=words,
        timm_model_ids=list(size.vision),
        image_sizes=[size.image, size.image],
        pad_token_id=32000,
    )
    return classes.model(config)


def _image_processor(classes: OftClasses, image: int) -> Any:
    half = [0.5] * 3
    return classes.image_processor(
        use_fused_vision_backbone=True,
        image_resize_strategy='resize-naive',
        input_sizes=[[3, image, image]] * 2,
        interpolations=['bicubic'] * 2,
        means=[[0.485, 0.456, 0.406], half],
        stds=[[0.229, 0.224, 0.225], half],
    )


def _write_tokenizer(folder: Path) -> None:
    """Write a tokenizer whose tokens have the numbers of Llama's where the model relies on them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {f'<{number}>': number for number in range(32000)} | {'<s>': 1, '</s>': 2, '<unk>': 0}
    taken = {number: word for word, number in words.items()}
    text = re.findall(r'\w+|[:?]', 'In: What action should the robot take to pick up red cube? Out put open drawer')
    vocabulary = {word: number for number, word in taken.items()} | {word: 1000 + i for i, word in enumerate(text)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token='<unk>'))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing('<s> $A', special_tokens=[('<s>', 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token='<s>', eos_token='</s>', unk_token='<unk>', pad_token='</s>'
    ).save_pretrained(folder)
