# SPDX-License-Identifier: Apache-2.0
"""The rights that config/sros2/aura.policy.xml grants, as sets of names; read as `ros2 security` reads it."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

POLICY = Path(__file__).parents[2] / 'config' / 'sros2' / 'aura.policy.xml'
# The topics and services of an action.
_ACTION_TOPICS = ('feedback', 'status')
_ACTION_SERVICES = ('cancel_goal', 'get_result', 'send_goal')


@dataclass
class Rights:
    """Full names of topics and services; `*` matches any text."""

    publish: set[str] = field(default_factory=set)
    subscribe: set[str] = field(default_factory=set)
    request: set[str] = field(default_factory=set)
    reply: set[str] = field(default_factory=set)

    def beyond(self, granted: 'Rights') -> list[str]:
        """Return a text for each right of this object that `granted` does not cover."""
        return [
            f'{right} {name}'
            for right, names in vars(self).items()
            for name in sorted(names)
            if not granted.may(right, name)
        ]

    def may(self, right: str, name: str) -> bool:
        """Return whether `right` covers `name`."""
        return any(fnmatchcase(name, pattern) for pattern in getattr(self, right))


def _names(element: ElementTree.Element, namespace: str, node: str) -> list[str]:
    prefix = namespace.rstrip('/') + '/'
    full = []
    for child in element:
        name = (child.text or '').strip()
        if name.startswith('~'):
            name = prefix + node + name[1:]
        full.append(name if name.startswith('/') else prefix + name)
    return full


def in_namespace(namespace: str) -> str:
    """Return the text of the policy for another namespace, changed as the comment in the file describes."""
    text = POLICY.read_text(encoding='utf-8')
    assert text.count('<!ENTITY ns "/">') == 1
    return text.replace('<!ENTITY ns "/">', f'<!ENTITY ns "{namespace}">')


def granted(namespace: str = '/') -> dict[str, Rights]:
    """Return the rights of each enclave."""
    found: dict[str, Rights] = {}
    for enclave in ElementTree.fromstring(in_namespace(namespace)).iter('enclave'):
        rights = found[enclave.attrib['path']] = Rights()
        for profile in enclave.iter('profile'):
            for part in profile:
                _grant(rights, part, _names(part, profile.attrib['ns'], profile.attrib['node']))
    return found


def _grant(rights: Rights, part: ElementTree.Element, names: list[str]) -> None:
    for right, verdict in part.attrib.items():
        assert verdict == 'ALLOW', f'{part.tag}: this reader does not support {verdict}'
        if part.tag != 'actions':
            getattr(rights, right).update(names)
            continue
        serves = right == 'execute'
        topics, services = (
            {f'{name}/_action/{end}' for name in names for end in ends} for ends in (_ACTION_TOPICS, _ACTION_SERVICES)
        )
        (rights.publish if serves else rights.subscribe).update(topics)
        (rights.reply if serves else rights.request).update(services)
