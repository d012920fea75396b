# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of LeRobot's own classes with small random weights, in the layout of the real ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import yaml
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

JOINTS = ['shoulder_pan', 'shoulder_lift', 'elbow_flex', 'wrist_flex', 'wrist_roll', 'gripper']
CHUNK = 8
SEED = 3


Statistics = dict[str, dict[str, torch.Tensor]]


def features(cameras: tuple[str, ...], joints: int = len(JOINTS)) -> dict[str, Any]:
    """Return inputs and outputs of a robot."""
    images = {
        f'observation.images.{camera}': PolicyFeature(type=FeatureType.VISUAL, shape=(3, 96, 96)) for camera in cameras
    }
    state = {'observation.state': PolicyFeature(type=FeatureType.STATE, shape=(joints,))}
    return {
        'input_features': state | images,
        'output_features': {'action': PolicyFeature(type=FeatureType.ACTION, shape=(joints,))},
    }


def statistics() -> Statistics:
    """Return normalisation that changes each column in another way."""
    column = torch.arange(1.0, 7.0)
    one = {'mean': column, 'std': column / 2, 'q01': -column, 'q99': column * 2, 'min': -column, 'max': column}
    return {'action': one, 'observation.state': {name: value + 1 for name, value in one.items()}}


def vlm(folder: Path) -> Path:
    """Write configuration, processor and tokenizer of a small SmolVLM."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        PreTrainedTokenizerFast,
        SmolVLMConfig,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    special = ['<|endoftext|>', '<|im_start|>', '<end_of_utterance>', '<image>', '<fake>', '<global-img>']
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(['touch the red block'] * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=special[1],
        eos_token=special[2],
        pad_token=special[0],
        unk_token=special[0],
        extra_special_tokens={
            'image_token': special[3],
            'fake_image_token': special[4],
            'global_image_token': special[5],
            'end_of_utterance_token': special[2],
        },
    )
    size = {'longest_edge': 64}
    image = SmolVLMImageProcessor(size=size, max_image_size=size)
    video = SmolVLMVideoProcessor(size=size, max_image_size=size)
    SmolVLMProcessor(image_processor=image, tokenizer=fast, video_processor=video, image_seq_len=4).save_pretrained(
        folder
    )
    text = {
        'model_type': 'llama',
        'hidden_size': 64,
        'intermediate_size': 128,
        'num_hidden_layers': 4,
        'num_attention_heads': 4,
        'num_key_value_heads': 2,
        'head_dim': 16,
        'vocab_size': len(fast),
        'pad_token_id': 0,
    }
    vision = {
        'hidden_size': 48,
        'intermediate_size': 96,
        'num_hidden_layers': 2,
        'num_attention_heads': 4,
        'image_size': 64,
        'patch_size': 16,
    }
    image_token = fast.convert_tokens_to_ids('<image>')
    SmolVLMConfig(
        text_config=text, vision_config=vision, scale_factor=2, image_token_id=image_token, pad_token_id=0
    ).save_pretrained(folder)
    return folder


def groot_vlm(folder: Path) -> Path:
    """Write configuration, processor and tokenizer of a small Qwen3-VL, as GR00T N1.7 reads them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessor, Qwen3VLConfig, Qwen3VLVideoProcessor

    special = ['<|endoftext|>', '<|im_end|>', '<|image_pad|>', '<|video_pad|>', '<|vision_start|>', '<|vision_end|>']
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(['touch the red block'] * 4, trainer)
    names = ('image_token', 'video_token', 'vision_bos_token', 'vision_eos_token')
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=special[0],
        eos_token=special[1],
        extra_special_tokens=dict(zip(names, special[2:], strict=True)),
    )
    image, words = '<|vision_start|><|image_pad|><|vision_end|>', "{{ part['text'] }}"
    fast.chat_template = (
        "{% for message in messages %}{% for part in message['content'] %}"
        f"{{% if part['type'] == 'image' %}}{image}{{% else %}}{words}{{% endif %}}"
        '{% endfor %}{% endfor %}'
    )
    fast.save_pretrained(folder)
    patches = {'patch_size': 16, 'temporal_patch_size': 2, 'merge_size': 2}
    Qwen2VLImageProcessor(**patches, min_pixels=1024, max_pixels=4096).save_pretrained(folder)
    Qwen3VLVideoProcessor(**patches).save_pretrained(folder)
    text = {
        'model_type': 'qwen3_vl_text',
        'hidden_size': 64,
        'intermediate_size': 96,
        'num_hidden_layers': 3,
        'num_attention_heads': 4,
        'num_key_value_heads': 2,
        'head_dim': 16,
        'vocab_size': len(fast),
        'max_position_embeddings': 512,
        'rope_scaling': {'mrope_interleaved': True, 'mrope_section': [4, 2, 2], 'rope_type': 'default'},
    }
    vision = {
        'model_type': 'qwen3_vl',
        'depth': 2,
        'hidden_size': 32,
        'intermediate_size': 48,
        'num_heads': 2,
        'out_hidden_size': 64,
        'num_position_embeddings': 64,
        'deepstack_visual_indexes': [0],
    }
    image_id, video_id, start_id, end_id = (fast.convert_tokens_to_ids(name) for name in special[2:])
    Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=image_id,
        video_token_id=video_id,
        vision_start_token_id=start_id,
        vision_end_token_id=end_id,
        tie_word_embeddings=True,
    ).save_pretrained(folder)
    return folder


def groot_base(folder: Path, words: Path) -> Path:
    """Write a small base model of GR00T N1.7."""
    from lerobot.policies.groot.groot_n1_7 import GR00TN17, GR00TN17Config

    heads = {'positional_embeddings': None, 'num_attention_heads': 4, 'dropout': 0.0, 'final_dropout': False}
    dit = {'num_layers': 4, 'attention_head_dim': 12, 'norm_type': 'ada_norm', 'output_dim': 32}
    config = GR00TN17Config(
        model_name=str(words),
        model_dtype='float32',
        dtype='float32',
        backbone_embedding_dim=64,
        select_layer=2,
        max_state_dim=16,
        max_action_dim=8,
        action_horizon=CHUNK,
        hidden_size=32,
        input_embedding_dim=48,
        max_seq_len=64,
        diffusion_model_cfg=heads | dit | {'interleave_self_attention': True},
        vl_self_attention_cfg=heads | {'num_layers': 1, 'attention_head_dim': 16},
        num_inference_timesteps=2,
    )
    torch.manual_seed(SEED)
    GR00TN17(config, load_backbone_weights=False).save_pretrained(folder)
    return folder


@contextmanager
def small_pi() -> Iterator[None]:
    """Make the sizes small that the classes of pi0 and pi0.5 fix: widths, vision tower and vocabulary."""
    import lerobot.policies.pi0.modeling_pi0 as pi0
    import lerobot.policies.pi05.modeling_pi05 as pi05

    vision = {'hidden_size': 32, 'num_hidden_layers': 2, 'num_attention_heads': 2, 'intermediate_size': 64}

    def patches(module: Any) -> dict[str, Any]:
        sizes, whole, expert = (
            module.GemmaConfig,
            module.PaliGemmaForConditionalGenerationWithPiGemma,
            module.PiGemmaForCausalLM,
        )

        def gemma(variant: str) -> Any:
            width = 64 if variant == 'gemma_2b' else 32
            return sizes(width=width, depth=2, mlp_dim=128, num_heads=2, num_kv_heads=1, head_dim=32)

        def paligemma(config: Any) -> Any:
            for name, value in (vision | {'projection_dim': 64}).items():
                setattr(config.vision_config, name, value)
            config.text_config.vocab_size, config.projection_dim = 512, 64
            return whole(config=config)

        def action_expert(config: Any) -> Any:
            config.vocab_size = 512
            return expert(config=config)

        return {
            'get_gemma_config': gemma,
            'PaliGemmaForConditionalGenerationWithPiGemma': paligemma,
            'PiGemmaForCausalLM': action_expert,
        }

    with mock.patch.multiple(pi0, **patches(pi0)), mock.patch.multiple(pi05, **patches(pi05)):
        yield


def settings(kind: str, vlm_folder: Path | None) -> dict[str, Any]:
    """Return the configuration of a small policy."""
    small: dict[str, Any] = {'device': 'cpu', 'chunk_size': CHUNK, 'n_action_steps': CHUNK}
    if kind == 'act':
        small |= {
            'dim_model': 32,
            'dim_feedforward': 64,
            'n_heads': 2,
            'n_encoder_layers': 1,
            'n_vae_encoder_layers': 1,
        }
        return small | {'pretrained_backbone_weights': None, 'vision_backbone': 'resnet18'}
    small |= {'max_state_dim': 16, 'max_action_dim': 8}
    if kind == 'groot':
        assert vlm_folder is not None
        return small | {'base_model_path': str(groot_base(vlm_folder.parent / 'base', vlm_folder))}
    if kind == 'smolvla':
        small |= {'vlm_model_name': str(vlm_folder), 'load_vlm_weights': False, 'num_vlm_layers': 4, 'num_steps': 4}
        return small | {'resize_imgs_with_padding': (64, 64)}
    return small | {'num_inference_steps': 3, 'dtype': 'float32', 'tokenizer_max_length': 60}


def make(
    kind: str, folder: Path, cameras: tuple[str, ...] = ('front',), scales: Statistics | None = None, **changes: Any
) -> Path:
    """Write the checkpoint of a policy and the file of its model; return the file.

    Args:
        kind: type of the policy.
        folder: where to write.
        cameras: names of the images.
        scales: statistics of actions and state; they give the number of joints.
        changes: keys of the file to replace.
    """
    from lerobot.policies.factory import make_policy_config

    words = None if kind == 'act' else (groot_vlm if kind == 'groot' else vlm)(folder / 'vlm')
    scales = scales or statistics()
    config = make_policy_config(kind, **settings(kind, words), **features(cameras, len(scales['action']['mean'])))
    torch.manual_seed(SEED)
    checkpoint = folder / kind
    policy = get_policy_class(kind)(config)
    policy.save_pretrained(checkpoint)
    with mock.patch('transformers.AutoTokenizer.from_pretrained', _local(words)):
        for processor in make_pre_post_processors(config, dataset_stats=scales):
            processor.save_pretrained(checkpoint)
    return write_file(folder / f'{kind}.yaml', checkpoint, cameras, words, **changes)


def _local(folder: Path | None) -> Any:
    from transformers import AutoTokenizer

    real = AutoTokenizer.from_pretrained
    return lambda name, **more: real(str(folder), **more)


def write_file(path: Path, checkpoint: Path, cameras: tuple[str, ...], words: Path | None, **changes: Any) -> Path:
    """Write the file of a model; `changes` replace keys, and a value of None removes its key."""
    tap = 'decoder' if checkpoint.name == 'act' else 'prefix'
    content = {
        'checkpoint': str(checkpoint),
        'name': checkpoint.name,
        'cameras': list(cameras),
        'joint_names': JOINTS,
        'actions': [
            {'name': 'arm', 'dims': 5, 'kind': 'joint', 'mode': 'absolute', 'unit': 'deg'},
            {'name': 'gripper', 'dims': 1, 'kind': 'gripper', 'mode': 'absolute', 'range': [0.0, 100.0]},
        ],
        'chunk_size': CHUNK,
        'n_action_steps': 4,
        'seconds_per_action': 0.1,
        'features': {'tap': tap},
        'lerobot': {'vlm': str(words)} if words else {},
    }
    if checkpoint.name == 'groot':
        content['lerobot'] = {'vlm': str(words), 'base': str(checkpoint.parent / 'base')}
    content = {key: value for key, value in (content | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(content))
    return path
