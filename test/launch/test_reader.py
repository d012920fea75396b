# SPDX-License-Identifier: Apache-2.0
"""The reader: supported attributes mean what they mean in ROS launch; everything else is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from aura_ros.common.errors import ConfigError
from aura_ros.tools.launch.plan import NodeProcess, Parameters
from aura_ros.tools.launch.reader import describe, read

Write = Callable[..., Path]
NODE = 'node: {pkg: aura_ros, exec: panel}'


def _only(path: Path, **given: str) -> NodeProcess:
    (node,) = read(path, given).nodes
    return node


def _values(node: NodeProcess) -> dict[str, object]:
    """Inline parameters by name."""
    found: dict[str, object] = {}
    for argument in node.arguments:
        if isinstance(argument, Parameters):
            ((_, content),) = yaml.safe_load(argument.text()).items()
            found |= content['ros__parameters']
    return found


def _words(node: NodeProcess) -> list[str]:
    return [argument for argument in node.arguments if isinstance(argument, str)]


REFUSED = [
    ('launch: []\nother: []', "one key 'launch'"),
    ('launch: {}', 'a list'),
    ('launch:\n- [', 'not valid YAML'),
    ('launch:\n- arg: {name: a, name: b}', 'given twice'),
    ('launch:\n- executable: {cmd: ls}', 'does not support this action'),
    ('launch:\n- timer: {period: 1.0}', 'does not support this action'),
    ('launch:\n- arg: {name: a}\n  let: {name: b, value: c}', "one '- action:'"),
    ('launch:\n- arg: {default: x}', "needs the key 'name'"),
    ('launch:\n- arg: {name: a, default: 1}', 'put quotes around'),
    ('launch:\n- arg: {name: a, defualt: x}', "key 'defualt': this reader does not support"),
    ('launch:\n- arg: {name: a, default: x, choice: [{vlaue: x}]}', "key 'vlaue': this reader does not support"),
    ('launch:\n- node: {pkg: aura_ros}', "needs the key 'exec'"),
    ('launch:\n- node: {pkg: a, exec: b, emulate_tty: true}', "'emulate_tty': this reader does not support"),
    ('launch:\n- node: {pkg: aura_ros, exec: panel, param: []}', 'a list of'),
    ('launch:\n- node: {pkg: aura_ros, exec: panel, param: [{name: a}]}', "needs the key 'value'"),
    ('launch:\n- node: {pkg: a, exec: b, param: [{value: 1}]}', "either 'from' or 'name'"),
    ('launch:\n- node: {pkg: a, exec: b, param: [{name: a, from: b}]}', "either 'from' or 'name'"),
    ('launch:\n- node: {pkg: a, exec: b, param: [{name: a, param: []}]}', "'param': this reader does not support"),
    ('launch:\n- node: {pkg: a, exec: b, param: [{name: a, value: [1, x]}]}', 'expected a number'),
    ('launch:\n- node: {pkg: a, exec: b, param: [{name: a, value: x, type: int}]}', 'an integer'),
    ('launch:\n- node: {pkg: a, exec: b, param: [{name: a, value: 1, type: bool}]}', ': bool'),
    ('launch:\n- node: {pkg: a, exec: b, param: [{name: a, value: 1, type: u8}]}', ': str, int'),
    ('launch:\n- node: {pkg: a, exec: b, param: [{from: /no/such.yaml}]}', 'no such file'),
    ('launch:\n- node: {pkg: a, exec: b, remap: [{from: a}]}', "needs the key 'to'"),
    ('launch:\n- node: {pkg: a, exec: b, on_exit: restart}', 'allowed: shutdown'),
    ('launch:\n- node: {pkg: a, exec: b, output: own_log}', 'allowed: screen'),
    ('launch:\n- node: {pkg: a, exec: b, respawn_delay: 1}', 'with a decimal point'),
    ('launch:\n- node: {pkg: a, exec: b, name: a-b}', 'not a node name'),
    ('launch:\n- node: {pkg: a, exec: b, namespace: a//b}', 'not a ROS namespace'),
    ('launch:\n- node: {pkg: a, exec: b, args: "\'open"}', 'No closing quotation'),
    ("launch:\n- node: {pkg: a, exec: b, if: 'yes'}", 'allowed: true, 1, false, 0'),
    ("launch:\n- node: {pkg: a, exec: b, if: '1', unless: '1'}", 'exclude each other'),
    ('launch:\n- let: {name: a, value: $(eval 1+1)}', 'does not support $(eval 1+1)'),
    ('launch:\n- let: {name: a, value: $(var $(var b))}', 'nested'),
    ('launch:\n- let: {name: a, value: $(and true)}', 'does not support'),
    ('launch:\n- let: {name: a, value: $(and true maybe)}', "'maybe' is not a boolean"),
    ('launch:\n- let: {name: a, value: $(and true $(or true false))}', 'does not support'),
    ('launch:\n- let: {name: a, value: $(and true $(and true $(var a)))}', 'nested'),
    ('launch:\n- let: {name: a, value: $(var b}', 'unclosed'),
    ('launch:\n- let: {name: a, value: $(dirname x)}', 'does not support $(dirname x)'),
    ("launch:\n- let: {name: a, value: 'a\\b'}", 'backslash'),
    ('launch:\n- let: {name: a, value: $(var b)}', 'no such argument'),
    ('launch:\n- let: {name: a, value: $(env NO_SUCH_VARIABLE)}', 'not set'),
    ('launch:\n- let: {name: a, value: $(find-pkg-share no_such_package)}', 'no such package'),
    ('launch:\n- let: {name: sigterm_timeout, value: soon}', 'a number'),
    ('launch:\n- include: {file: $(dirname)/other.launch.xml}', 'only .launch.yaml'),
    ('launch:\n- include: {file: $(dirname)/no_such.launch.yaml}', 'cannot be read'),
    ('launch:\n- group: {children: [], scoped: true}', "'scoped': this reader does not support"),
    ('launch:\n- group:\n  - log: {message: x}', 'does not support this action'),
    # Even if a condition excludes it.
    ("launch:\n- group:\n    if: 'false'\n    children:\n    - node: {pkg: a, nmae: x}", "'nmae'"),
]


@pytest.mark.parametrize(('text', 'message'), REFUSED)
def test_refuses_by_file_line_and_key(write: Write, text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as error:
        read(path, {})
    assert message in str(error.value)
    assert str(error.value).startswith(f'{path.parent}/')


def test_names_the_line(write: Write) -> None:
    path = write('launch:\n- arg:\n    name: a\n    default: b\n    colour: red\n')
    with pytest.raises(ConfigError, match=r"some.launch.yaml:5: 'arg', key 'colour'"):
        read(path, {})


def test_arguments(write: Write) -> None:
    path = write("""\
        launch:
        - arg: {name: who, default: me, description: Who it is}
        - arg: {name: policy, default: aura, choice: [{value: aura}, {value: kv}]}
        - arg: {name: needed}
        - node: {pkg: aura_ros, exec: panel, args: $(var who) $(var policy) $(var needed)}
        """)
    assert _words(_only(path, needed='x', policy='kv'))[:3] == ['me', 'kv', 'x']
    with pytest.raises(ConfigError, match="'policy' is 'base', allowed: aura, kv"):
        read(path, {'policy': 'base', 'needed': 'x'})
    with pytest.raises(ConfigError, match="no argument 'amr', allowed: needed, policy, who"):
        read(path, {'amr': 'kv', 'needed': 'x'})
    with pytest.raises(ConfigError, match='give needed:=VALUE'):
        read(path, {})
    described = describe(path)
    assert list(described) == ['who', 'policy', 'needed']
    assert described['needed'].default is None
    assert described['policy'].choices == ('aura', 'kv')
    assert described['who'].description == 'Who it is'


def test_conditions(write: Write) -> None:
    path = write(f"""\
        launch:
        - arg: {{name: wanted, default: 'True'}}
        - let: {{name: x, value: a, if: $(var wanted)}}
        - let: {{name: x, value: b, unless: $(var wanted)}}
        - group:
            unless: $(var wanted)
            children:
            - {NODE}
        - node: {{pkg: aura_ros, exec: panel, args: $(var x)}}
        """)
    assert [_words(node)[0] for node in read(path, {}).nodes] == ['a']
    assert [_words(node)[0] for node in read(path, {'wanted': '0'}).nodes] == ['--ros-args', 'b']


def test_substituted_values_are_not_split(write: Write) -> None:
    path = write("""\
        launch:
        - arg: {name: path, default: with blank}
        - arg: {name: empty, default: ''}
        - node: {pkg: a, exec: b, args: '--file $(var path)/x  "one two" $(var empty) end'}
        """)
    assert _words(_only(path))[:5] == ['--file', 'with blank/x', 'one two', '', 'end']


@pytest.mark.parametrize(
    ('written', 'given', 'meant'),
    [
        ('$(var v)', '3', 3),
        ('$(var v)', '3.5', 3.5),
        ('$(var v)', 'true', True),
        ('$(var v)', 'text', 'text'),
        ('$(var v)', '', ''),
        ('$(var v)', '[a, b]', ['a', 'b']),
        ('$(var v), type: float', '3', 3.0),
        ('$(var v), type: str', '3', '3'),
        ('$(var v), type: bool', '1', True),
        ('$(var v), type: int', '-4', -4),
        ('7', '', 7),
        ("'7'", '', '7'),
        ('[1, 2]', '', [1, 2]),
        ('false', '', False),
    ],
)
def test_parameter_values(write: Write, written: str, given: str, meant: object) -> None:
    path = write(f"""\
        launch:
        - arg: {{name: v}}
        - node: {{pkg: a, exec: b, param: [{{name: p, value: {written}}}]}}
        """)
    value = _values(_only(path, v=given))['p']
    assert value == meant
    assert type(value) is type(meant)


def test_namespaces(write: Write) -> None:
    path = write("""\
        launch:
        - arg: {name: ns, default: ''}
        - group:
          - push_ros_namespace: {namespace: $(var ns)}
          - node: {pkg: a, exec: b, name: n, param: [{name: p, value: 1}]}
          - node: {pkg: a, exec: b, namespace: sub}
          - node: {pkg: a, exec: b, namespace: /top}
        - node: {pkg: a, exec: b, name: n, param: [{name: p, value: 1}]}
        """)

    def namespaces(**given: str) -> list[str]:
        words = [_words(node) for node in read(path, given).nodes]
        return [next((w[6:] for w in line if w.startswith('__ns:=')), 'none') for line in words]

    assert namespaces() == ['/', '/sub', '/top', 'none']
    assert namespaces(ns='robot') == ['/robot', '/robot/sub', '/top', 'none']
    assert namespaces(ns='/a/b/') == ['/a/b', '/a/b/sub', '/top', 'none']
    owners = [
        next(iter(argument.content))
        for node in read(path, {'ns': 'robot'}).nodes
        for argument in node.arguments
        if isinstance(argument, Parameters)
    ]
    assert owners == ['/robot/n', '/**']


def test_a_group_is_scoped_and_an_include_is_not(write: Write) -> None:
    write(
        """\
        launch:
        - arg: {name: inner, default: i}
        - arg: {name: fixed, default: f}
        - let: {name: set_inside, value: s}
        """,
        'inner.launch.yaml',
    )
    path = write("""\
        launch:
        - let: {name: x, value: out}
        - group:
          - let: {name: x, value: in}
          - set_parameter: {name: use_sim_time, value: 'true'}
          - set_env: {name: COLOUR, value: red}
          - node: {pkg: a, exec: b, args: $(var x) $(env COLOUR)}
        - include: {file: $(dirname)/inner.launch.yaml, arg: [{name: fixed, value: g}]}
        - let: {name: all, value: $(var inner)$(var fixed)$(var set_inside)}
        - node: {pkg: a, exec: b, args: $(var x) $(env COLOUR none) $(var all)}
        """)
    first, second = read(path, {}).nodes
    assert _words(first) == ['in', 'red', '--ros-args', '-p', 'use_sim_time:=True']
    assert first.environment == {'COLOUR': 'red'}
    assert _words(second) == ['out', 'none', 'igs', '--ros-args']
    assert second.environment == {}
    assert list(describe(path)) == ['inner']
    with pytest.raises(ConfigError, match="no argument 'fixed'"):
        read(path, {'fixed': 'x'})


def test_order_of_ros_arguments(write: Write, tmp_path: Path) -> None:
    (tmp_path / 'p.yaml').write_text('{}')
    path = write("""\
        launch:
        - set_parameter: {name: g, value: '1'}
        - node:
            remap: [{from: a, to: b}]
            param: [{from: $(dirname)/p.yaml}]
            namespace: ns
            name: n
            ros_args: --log-level debug
            args: first
            exec: b
            pkg: a
        """)
    assert _words(_only(path)) == [
        'first',
        '--ros-args',
        '--log-level',
        'debug',
        '--ros-args',
        '-r',
        '__node:=n',
        '-r',
        '__ns:=/ns',
        '-p',
        'g:=1',
        '--params-file',
        f'{tmp_path}/p.yaml',
        '-r',
        'a:=b',
    ]


def test_exit_settings(write: Write) -> None:
    path = write("""\
        launch:
        - let: {name: sigterm_timeout, value: '1.5'}
        - node: {pkg: a, exec: b, on_exit: shutdown}
        - node: {pkg: a, exec: b, respawn: 'true', respawn_delay: 0.5}
        """)
    plan = read(path, {})
    assert (plan.sigterm_timeout_s, plan.sigkill_timeout_s) == (1.5, 5.0)
    ending, coming_back = plan.nodes
    assert ending.shutdown_on_exit and not ending.respawn
    assert coming_back.respawn and coming_back.respawn_delay_s == 0.5
    assert [node.label for node in plan.nodes] == ['b-1', 'b-2']


def test_unknown_executables_are_named(write: Write, stand_ins: Path) -> None:
    path = write(f'launch:\n- node: {{pkg: aura_ros, exec: pannel}}\n- node: {{pkg: no_such, exec: x}}\n- {NODE}\n')
    wrong, nowhere, right = read(path, {}).nodes
    with pytest.raises(ConfigError, match=r"some.launch.yaml:2: 'pannel' is not an executable .* panel"):
        wrong.program()
    with pytest.raises(ConfigError, match="package 'no_such' not found"):
        nowhere.program()
    assert right.program() == str(stand_ins / 'lib/aura_ros/panel')


@pytest.mark.fault('F35')
@pytest.mark.parametrize(
    'name', ['/bin/sh', '../../../bin/sh', 'sub/panel', './panel', '..', '.', "''", '$(var x)', '-c', '"a\\x1b[2Jb"']
)
def test_an_executable_is_a_file_in_lib_of_its_package(
    write: Write, name: str, measured: Callable[[str], None]
) -> None:
    path = write(f"""\
        launch:
        - arg: {{name: x, default: /bin/sh}}
        - node: {{pkg: aura_ros, exec: {name}}}
        """)
    with pytest.raises(ConfigError, match=r"some.launch.yaml:3: 'node', key 'exec': is .* file in lib/aura_ros, not a"):
        read(path, {})
    measured(f'exec {name}: refused')


@pytest.mark.fault('F35')
@pytest.mark.parametrize('name', ['/bin', '../aura_ros', 'a/b', '..'])
def test_a_package_is_an_installed_one(write: Write, stand_ins: Path, name: str) -> None:
    path = write(f"""\
        launch:
        - node: {{pkg: {name}, exec: panel}}
        """)
    with pytest.raises(ConfigError, match=f"package '{name}' not found"):
        read(path, {}).nodes[0].program()


@pytest.mark.fault('F35')
@pytest.mark.parametrize('name', ['PATH', 'LD_PRELOAD', 'PYTHONPATH', 'PYTHONSTARTUP', 'AMENT_PREFIX_PATH', 'BASH_ENV'])
def test_a_file_cannot_set_where_code_is_loaded_from(write: Write, name: str, measured: Callable[[str], None]) -> None:
    path = write(f"""\
        launch:
        - set_env: {{name: {name}, value: /tmp}}
        """)
    with pytest.raises(ConfigError, match=f"'set_env': '{name}' decides what code a program loads"):
        read(path, {})
    measured(f'set_env {name}: refused')


@pytest.mark.fault('F35')
def test_an_include_does_not_depend_on_the_working_folder(write: Write) -> None:
    write('launch: []', name='inner.launch.yaml')
    path = write("""\
        launch:
        - include: {file: inner.launch.yaml}
        """)
    with pytest.raises(ConfigError, match=r'relative path; write \$\(dirname\)/inner.launch.yaml'):
        read(path, {})


@pytest.mark.parametrize('value', ['nan', 'inf', '-1.0', '1e300'])
def test_timeouts_are_times(write: Write, value: str) -> None:
    path = write(f"""\
        launch:
        - let: {{name: sigterm_timeout, value: '{value}'}}
        """)
    with pytest.raises(ConfigError, match=f"'sigterm_timeout' is '{value}', allowed: 0.0 to 3600 seconds"):
        read(path, {})
