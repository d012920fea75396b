# SPDX-License-Identifier: Apache-2.0
"""Definitions for the hover texts, in the words of docs/glossary.md; a test compares the two."""

import textwrap

DEFINITIONS = {
    'backbone': 'The frozen vision-language-action model (VLA).',
    'chunk': 'The actions that one step proposes, in order.',
    'durable': 'A state is durable when it is on the storage: it survives the end of the process and a power cut.',
    'episode': 'A run of steps from one run_episode goal to its end.',
    'gate': (
        'A small trained network in AURA-Mem. At each step, it decides whether a write helps later actions more than '
        'it costs. Its score is a number from 0 to 1.'
    ),
    'guard': 'The last check before a command leaves. It limits position, step and velocity of each joint.',
    'hold': (
        'The robot stops at its measured position and stays there, because there is no command that may be executed.'
    ),
    'item': (
        'What one row of W holds with content addressing: a key, which says what the item is, and the value that is '
        'stored for it.'
    ),
    'policy': (
        'What drives the robot. On the robot there are three: base is the backbone alone, aura is the backbone with '
        'AURA-Mem, and kv is the backbone with a KV-cache.'
    ),
    'round': 'One task inside an episode of the embedded robot, from its start to solved or not solved.',
    'state': 'The numbers that a memory carries.',
    'step': 'One run of the backbone: its features of the input, and its proposed action (base action).',
    'storage': 'The disk, SSD or SD card that holds the state file.',
    'surprise': (
        'The difference between what the memory holds for the present key k and what the step would store; with dense '
        'keys |v − (W k + b)|.'  # noqa: RUF001
    ),
    'W': (
        'The 32 × 32 matrix of fast weights in the state of AURA-Mem. A write changes W.'  # noqa: RUF001
    ),
    'write': (
        "A change of the state. AURA-Mem writes when the gate's score is above the threshold. "
        'The KV-cache writes at every step.'
    ),
}
# Qt does not wrap plain hover texts [characters].
_WIDTH = 88


def explain(*terms: str) -> str:
    """Return the definitions of some terms, one paragraph each."""
    return '\n'.join(textwrap.fill(f'{term[0].upper()}{term[1:]}: {DEFINITIONS[term]}', _WIDTH) for term in terms)


def tip(text: str, *terms: str) -> str:
    """Return a hover text: what a view shows, then the definitions of the terms that it uses."""
    shown = '\n'.join(textwrap.fill(line, _WIDTH) for line in text.splitlines())
    return f'{shown}\n\n{explain(*terms)}' if terms else shown
