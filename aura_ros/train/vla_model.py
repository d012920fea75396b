# SPDX-License-Identifier: Apache-2.0
"""The embedded VLA as a torch module: two small image encoders, word embedding, joint positions -> z, chunk.

images        uint8 [B, 64, 64, 3] each -> per camera 64 soft keypoints (x, y) and their strengths
scene         [B, 128]   positions and colours, before the instruction is used
words         [B, 32]    the instruction
hidden        [B, 128]   what to do
z             [B, 288]   scene, hidden and words side by side: the feature a memory reads
chunk         [B, 8, 8]  joint targets [rad, m], predicted as offsets from the measured joints, except for the finger
"""

import torch
from torch import Tensor, nn

from aura_ros.train.demonstrations import CHUNK, IMAGE, LAMPS_DIM, SCENE_DIM
from aura_ros.vla.text import TEXT_DIM

JOINTS = 8
SCENE_FEATURES = 128
HIDDEN_FEATURES = 128
WORD_FEATURES = 32
# The words are a part of their own: hidden has only what the actions of the moment need of the instruction, and does
# not name the lamp that an instruction asks for while all lamps are dark.
FEATURE_DIM = SCENE_FEATURES + HIDDEN_FEATURES + WORD_FEATURES


class CameraEncoder(nn.Module):
    """Convolutions that end in soft keypoints: the position and strength of each learned pattern."""

    def __init__(self, channels: int = 48) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(5, 24, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(24, channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
        )
        self.temperature = nn.Parameter(torch.ones(1))
        line = torch.linspace(-1, 1, IMAGE)
        rows, columns = torch.meshgrid(line, line, indexing='ij')
        self.register_buffer('coordinates', torch.stack([rows, columns])[None], persistent=False)
        line = torch.linspace(-1, 1, IMAGE // 4)
        rows, columns = torch.meshgrid(line, line, indexing='ij')
        self.register_buffer('grid', torch.stack([rows.flatten(), columns.flatten()], 1), persistent=False)
        self.output_dim = 3 * channels

    def forward(self, image: Tensor) -> Tensor:
        """Map float [B, 3, 64, 64] in 0..1 to [B, 3 * channels]."""
        coordinates = self.coordinates.expand(image.shape[0], -1, -1, -1)
        maps = self.convolutions(torch.cat([2 * image - 1, coordinates], 1)).flatten(2).float()
        weights = torch.softmax(maps * self.temperature, -1)
        # sums instead of a matrix product, because autocast would round positions to 8 bits
        points = [(weights * self.grid[:, axis]).sum(-1) for axis in (0, 1)]
        return torch.cat([*points, torch.tanh((weights * maps).sum(-1) / 4)], 1)


class EmbeddedVla(nn.Module):
    """The embedded backbone. It is frozen after its training."""

    def __init__(self) -> None:
        super().__init__()
        self.front, self.wrist = CameraEncoder(), CameraEncoder()
        seen = self.front.output_dim + self.wrist.output_dim + JOINTS
        self.scene = nn.Sequential(nn.Linear(seen, 256), nn.ReLU(), nn.Linear(256, SCENE_FEATURES), nn.Tanh())
        self.scene_head = nn.Linear(SCENE_FEATURES, SCENE_DIM + LAMPS_DIM)
        self.text = nn.Linear(TEXT_DIM, WORD_FEATURES)
        self.context = nn.Sequential(nn.Linear(SCENE_FEATURES + WORD_FEATURES, 128), nn.ReLU(), nn.Linear(128, 2 * 512))
        self.look = nn.Linear(SCENE_FEATURES + seen, 512)
        self.policy = nn.Sequential(
            nn.ReLU(), nn.Linear(512, 384), nn.ReLU(), nn.Linear(384, HIDDEN_FEATURES), nn.ReLU()
        )
        self.action = nn.Linear(HIDDEN_FEATURES, CHUNK * JOINTS)
        self.register_buffer('joint_mean', torch.zeros(JOINTS))
        self.register_buffer('joint_scale', torch.ones(JOINTS))
        self.register_buffer('offset_scale', torch.ones(JOINTS))
        self.register_buffer('is_offset', (torch.arange(JOINTS) < JOINTS - 1).float())

    def forward(self, front: Tensor, wrist: Tensor, joints: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return z [B, 288], chunk [B, 8, 8] and the prediction of scene and lamps [B, 37].

        Args:
            front: float [B, 3, 64, 64] in 0..1.
            wrist: the same.
            joints: measured joint positions [B, 8] [rad, m].
            text: sentence embedding [B, 256], unit length.
        """
        seen = self.see(front, wrist, joints)
        scene = self.scene(seen)
        words = self.read(text)
        hidden, chunk = self.decide(seen, scene, joints, words)
        return torch.cat([scene, torch.tanh(hidden), words], 1), chunk, self.scene_head(scene)

    def see(self, front: Tensor, wrist: Tensor, joints: Tensor) -> Tensor:
        """Return the keypoints of both images and the scaled joint positions, [B, 296]."""
        proprioception = (joints - self.joint_mean) / self.joint_scale
        return torch.cat([self.front(front), self.wrist(wrist), proprioception], 1)

    def read(self, text: Tensor) -> Tensor:
        """Return the words of the instruction, [B, 32]."""
        return torch.relu(self.text(text))

    def decide(self, seen: Tensor, scene: Tensor, joints: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden features [B, 128] and the chunk [B, 8, 8].

        Words and scene modulate (FiLM) a linear layer on the scene. To select one of several blocks is a product of
        "which" and "where", and a plain perceptron learns products slowly.
        """
        scale, shift = self.context(torch.cat([scene, words], 1)).chunk(2, -1)
        hidden = self.policy(self.look(torch.cat([scene, seen], 1)) * (1 + scale) + shift)
        offsets = self.action(hidden).unflatten(-1, (CHUNK, JOINTS)) * self.offset_scale
        # the target of the finger is absolute, because with an offset it learns to stay where it is
        return hidden, (joints * self.is_offset)[:, None] + offsets

    def deciding_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of all layers after the encoders."""
        parts = (self.text, self.context, self.look, self.policy, self.action)
        return [parameter for part in parts for parameter in part.parameters()]
