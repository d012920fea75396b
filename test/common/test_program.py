# SPDX-License-Identifier: Apache-2.0
"""The frame of every program: exit codes and error lines."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from aura_ros.common.errors import ConfigError, StateError
from aura_ros.common.program import EXTRAS, program

ROOT = Path(__file__).parents[2]


def run(error: BaseException | None, **options) -> int:
    @program('aura test', **options)
    def main() -> int:
        if error is not None:
            raise error
        return 0

    return main()


@pytest.mark.parametrize(
    ('error', 'code', 'line'),
    [
        (None, 0, ''),
        (ConfigError("parameter 'rate' is 0, allowed: 1 to 10"), 2, "parameter 'rate' is 0, allowed: 1 to 10"),
        (StateError('slot 0 is empty'), 1, 'slot 0 is empty'),
        (FileNotFoundError(2, 'No such file or directory', 'a.yaml'), 1, 'a.yaml: No such file or directory'),
        (ModuleNotFoundError('', name='rosbags.highlevel'), 1, 'needs rosbags: pip install "aura_ros[replay]"'),
        (KeyboardInterrupt(), 130, ''),
    ],
)
def test_exit_code_and_error_line(error, code, line, capsys):
    assert run(error) == code
    assert capsys.readouterr() == ('', f'aura test: {line}\n' if line else '')


def test_a_stop_signal_that_c_plus_plus_replaced_is_ctrl_c(capsys):
    hidden = TypeError('Unable to convert function return value to a Python type!')
    hidden.__cause__ = KeyboardInterrupt()
    assert run(hidden) == 130 and capsys.readouterr().err == ''


def test_a_program_chooses_its_text_after_ctrl_c_and_what_is_wrong_use(capsys):
    assert run(KeyboardInterrupt(), interrupted='stopped') == 130
    assert capsys.readouterr().err == 'aura test: stopped\n'
    assert run(StateError('no'), wrong_use=(StateError,)) == 2


@pytest.mark.parametrize('error', [RuntimeError('bug'), ModuleNotFoundError('', name='aura_ros.bench'), SystemExit(2)])
def test_bugs_and_argparse_pass_through(error):
    with pytest.raises(type(error)):
        run(error)


def test_a_closed_pipe_ends_silently():
    code = """if True:
        import sys
        from aura_ros.common.program import program
        @program('aura test')
        def main():
            print('line ' * 100000)
            return 0
        sys.exit(main())"""
    pipe = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    pipe.stdout.close()
    assert pipe.stderr.read() == b'' and pipe.wait(30) == 0
    pipe.stderr.close()


# Where the package index has another name than the import.
DISTRIBUTIONS = {'urdf_parser_py': 'urdfdom_py'}


def test_extras_are_those_of_pyproject():
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
    for package, extra in EXTRAS.items():
        names = [line.partition('<')[0].partition('>')[0] for line in extras[extra]]
        assert DISTRIBUTIONS.get(package, package) in names
