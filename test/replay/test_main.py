# SPDX-License-Identifier: Apache-2.0
"""aura replay from a bag to its report: options, cache, output files and error messages."""

import json
import subprocess
import sys

import pytest
from recordings import BEGIN_NS, INSTRUCTION, MS, STATES, recording
from replayed import SPEC, SeeingVla, bag_of

from aura_ros.replay.main import main
from aura_ros.replay.steps.mapping_file import load_mapping


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    return bag_of(tmp_path_factory.mktemp('bags') / 'monday')


@pytest.fixture
def replay(tmp_path, capsys):
    """A function (arguments) -> exit code, report or None, stdout, stderr, backbone calls."""

    def run(*arguments):
        before, output = SeeingVla.calls, tmp_path / 'out'
        code = main(
            [
                *map(str, arguments),
                '--backbone',
                'replayed:seeing',
                '--cache',
                str(tmp_path / 'cache'),
                '--output',
                str(output),
            ]
        )
        report = output / 'report.json'
        data = json.loads(report.read_text()) if report.exists() else None
        printed = capsys.readouterr()
        return code, data, printed.out, printed.err, SeeingVla.calls - before

    return run


def writes(report, bag=0):
    return [
        {key: write[key] for key in ('seq', 'gate', 'state_crc32')}
        for write in report['recordings'][bag]['policies']['aura']['writes']
    ]


def test_one_command_guesses_maps_runs_and_reports(bag, replay, tmp_path):
    code, report, out, err, calls = replay(bag)
    assert (code, err, calls) == (0, '', 20)
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {'report.html', 'report.json', 'steps.parquet'}
    one = report['recordings'][0]
    assert one['steps'] == 20 and one['name'] == 'monday' and one['partial'] == ''
    assert [row['name'] for row in report['summary']['policies']][:3] == ['base', 'aura', 'kv']
    assert 0 < len(writes(report)) < 20
    assert report['summary']['scored'] >= 18  # the last chunks reach beyond the recording
    assert report['verdict'] in ' '.join(out.split()) and 'report.html' in out
    assert any('guessed' in note for note in one['notes'])
    assert one['inputs']


def test_a_second_run_takes_its_steps_from_the_cache_and_finds_the_same(bag, replay):
    first = replay(bag)
    second = replay(bag)
    assert (first[4], second[4]) == (20, 0)
    assert 'in the cache' in second[2]
    assert writes(first[1]) == writes(second[1])
    assert first[1]['verdict'] == second[1]['verdict']
    assert first[1]['recordings'][0]['notes'] == second[1]['recordings'][0]['notes']
    assert replay(bag, '--fresh')[4] == 20


def test_a_run_after_a_limited_one_continues(bag, replay):
    short = replay(bag, '--limit', 8)
    assert short[1]['recordings'][0]['steps'] == short[4] == 8
    whole = replay(bag)
    assert whole[4] == 12 and whole[1]['recordings'][0]['steps'] == 20
    fresh = replay(bag, '--fresh')
    assert writes(whole[1]) == writes(fresh[1])
    assert [write for write in writes(fresh[1]) if write['seq'] < 8] == writes(short[1])


def test_a_part_in_time(bag, replay):
    report = replay(bag, '--from', '1.0', '--to', '0:03')[1]['recordings'][0]
    assert report['steps'] == 10
    assert report['end_ns'] - report['begin_ns'] == 9 * 200_000_000


def test_a_start_inside_an_episode_is_noted(bag, replay, tmp_path):
    live = bag_of(tmp_path / 'live', with_steps=True, episodes=2)
    for arguments in ((bag,), (live,), (live, '--run-backbone')):
        _, report, out, _, _ = replay(*arguments, '--from', '1.0')
        assert 'in the middle of an episode with an empty memory' in out
        assert any('in the middle of an episode' in note for note in report['recordings'][0]['notes'])
    for arguments in ((bag,), (live,), (live, '--from', '2.0')):
        assert 'in the middle of an episode' not in replay(*arguments)[2]


def test_a_start_after_the_end_is_refused_with_the_length(bag, replay):
    code, report, _, err, _ = replay(bag, '--from', '50')
    assert (code, report) == (1, None)
    assert '--from 50 s is after the end' in err and 'is 4.0 s long' in err


def test_the_terminal_says_what_was_guessed_and_that_recorded_steps_are_used(tmp_path, replay):
    live = bag_of(tmp_path / 'live', with_steps=True)
    out = replay(live)[2]
    assert 'the mapping was guessed' in out and 'cameras, joints and instruction of the mapping are not' in out
    assert 'recorded steps are used' not in replay(live, '--run-backbone')[2]


def test_drivers_are_named_with_and_without_the_backbone(tmp_path, replay):
    live = bag_of(tmp_path / 'live', with_steps=True, drove=(0, 1, 1, 2))
    for more in ((), ('--run-backbone',)):
        report = replay(live, *more)[1]
        assert report['recordings'][0]['drivers'] == {'base': 0.25, 'aura': 0.5, 'kv': 0.25}
        assert report['verdict'].startswith('base (25 % of the steps), aura (50 % of the steps) and kv (25 %')


def test_recorded_steps_are_not_computed_again(tmp_path, replay):
    live = bag_of(tmp_path / 'live', with_steps=True)
    made = replay(live, '--run-backbone')
    SeeingVla.calls = 0
    found = replay(live)
    assert found[4] == 0
    one = found[1]['recordings'][0]
    assert any('was not run again' in note for note in one['notes'])
    # the same pictures through the same backbone: the same writes, bit for bit
    assert writes(found[1]) == writes(made[1]) != []
    assert one['policies']['aura']['writes'][0]['episode_id'] == 'live'


def test_a_backbone_that_is_run_again_keeps_the_episodes_of_the_recorded_steps(tmp_path, replay):
    live = bag_of(tmp_path / 'live', with_steps=True, episodes=2)
    steps = [replay(live, *more)[1]['recordings'][0] for more in ((), ('--run-backbone',))]
    found = [
        {(write['stamp_ns'], write['state_crc32']) for write in one['policies']['aura']['writes']} for one in steps
    ]
    assert found[0] == found[1] != set()
    again = {write['episode_id'] for write in steps[1]['policies']['aura']['writes']}
    assert len(again) == 2
    assert not any('no episodes' in note for note in steps[1]['notes'])


def test_a_recording_without_episodes_is_one_episode(bag, replay):
    assert any('names no episodes' in note for note in replay(bag)[1]['recordings'][0]['notes'])


def test_joints_in_degrees_are_noticed(bag, tmp_path, replay):
    in_degrees = bag_of(tmp_path / 'degrees', per_rad=57.3)
    assert any('if the unit is degrees' in note for note in replay(in_degrees)[1]['recordings'][0]['notes'])
    assert not any('degrees' in note for note in replay(bag)[1]['recordings'][0]['notes'])


def test_several_bags_of_which_one_is_missing(bag, tmp_path, replay):
    tuesday = bag_of(tmp_path / 'tuesday', 2.0)
    code, report, out, err, _ = replay(bag, tuesday, tmp_path / 'nothing')
    assert code == 1
    assert [one['name'] for one in report['recordings']] == ['monday', 'tuesday']
    assert report['summary']['steps'] == 30
    assert 'does not exist' in report['refused'][str(tmp_path / 'nothing')]
    assert 'is refused' in err and 'all recordings' in out


def test_a_recording_without_a_camera_is_refused(tmp_path, replay):
    with recording(tmp_path / 'text') as recorder:
        recorder.text(INSTRUCTION, 'hello', 0.0)
    code, report, _, err, _ = replay(tmp_path / 'text')
    assert (code, report) == (1, None)
    assert 'has no camera' in err


def test_the_guess_is_a_mapping_file(bag, replay, tmp_path, capsys):
    assert main([str(bag), '--guess', '--backbone', 'replayed:seeing']) == 0
    (tmp_path / 'mapping.yaml').write_text(capsys.readouterr().out)
    mapping = load_mapping(tmp_path / 'mapping.yaml')
    assert set(mapping.cameras) == set(SPEC.cameras) and mapping.actions
    guessed, given = replay(bag), replay(bag, '--mapping', tmp_path / 'mapping.yaml')
    assert writes(guessed[1]) == writes(given[1])
    assert given[4] == 0  # the same mapping, the same steps
    assert not any('guessed' in note for note in given[1]['recordings'][0]['notes'])


def test_a_report_is_not_written_into_a_recording(bag, capsys):
    before = sorted(bag.iterdir())
    assert main([str(bag), '--output', str(bag), '--backbone', 'replayed:seeing']) == 2
    assert 'the folder contains a recording' in capsys.readouterr().err
    assert sorted(bag.iterdir()) == before


def test_an_instruction_can_be_given(bag, replay):
    assert replay(bag, '--instruction', 'stack them')[4] == 20
    assert 'stack them' in replay(bag, '--instruction', 'stack them')[1]['recordings'][0]['mapping']


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (['--policies', 'kvv'], "--policies: there is no 'kvv', did you mean kv?"),
        (['--from', '3', '--to', '2'], '--to 2 s: must be after --from 3 s'),
        (['--mapping', 'no.yaml'], 'no.yaml'),
        (['--weights', 'mine=no.safetensors'], 'no.safetensors'),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(bag, replay, arguments, says):
    code, report, _, err, calls = replay(bag, *arguments)
    assert (code, report, calls) == (2, None, 0)
    assert says in err


@pytest.mark.parametrize('arguments', [['--from', 'x'], ['--limit', '0'], ['--weights', 'aura'], []])
def test_malformed_options_name_the_help(arguments, capsys):
    assert main([*arguments]) == 2
    assert capsys.readouterr().err.endswith('See aura replay --help.\n')


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        main(['--help'])
    text = capsys.readouterr().out
    assert 'examples:' in text and '--guess > mapping.yaml' in text and 'kv-window' in text


def test_a_missing_package_is_named_with_its_extra(bag):
    program = 'import sys; sys.modules["rosbags"] = None; from aura_ros.replay.main import main; sys.exit(main())'
    found = subprocess.run([sys.executable, '-c', program, str(bag)], capture_output=True, text=True, timeout=60)
    assert found.returncode == 1
    assert found.stderr == 'aura replay: needs rosbags: pip install "aura_ros[replay]"\n'


def test_after_ctrl_c_the_next_run_continues(bag, replay, monkeypatch):
    infer = SeeingVla.infer

    def interrupted(self, observation):
        if SeeingVla.calls - before >= 7:
            raise KeyboardInterrupt
        return infer(self, observation)

    before = SeeingVla.calls
    monkeypatch.setattr(SeeingVla, 'infer', interrupted)
    code, _, _, err, _ = replay(bag)
    assert code == 130 and 'continues from here' in err
    monkeypatch.setattr(SeeingVla, 'infer', infer)
    assert replay(bag)[4] == 13


def test_a_bag_that_is_whole_again_is_no_longer_called_partial(replay, tmp_path):
    bag = bag_of(tmp_path / 'monday')
    (bag / 'metadata.yaml').rename(tmp_path / 'kept.yaml')
    _, first, _, _, calls = replay(bag)
    assert calls == 20 and 'metadata.yaml is missing' in first['recordings'][0]['partial']
    assert any('the recording is partial' in note for note in first['recordings'][0]['notes'])
    (tmp_path / 'kept.yaml').rename(bag / 'metadata.yaml')
    _, second, _, _, calls = replay(bag)
    assert calls == 0 and second['recordings'][0]['partial'] == ''
    assert not any('partial' in note for note in second['recordings'][0]['notes'])


def test_times_count_from_the_first_message_after_a_step_of_the_clock(replay, tmp_path):
    with recording(tmp_path / 'bag') as recorder:
        recorder.text(INSTRUCTION, 'go on', -BEGIN_NS / MS)
        for tick in range(300):
            recorder.joints(STATES, tick * 10.0, [0.0] * len(SPEC.joint_names), SPEC.joint_names)
            if tick % 5 == 0:
                for camera in SPEC.cameras:
                    recorder.image(f'/{camera}', tick * 10.0)
    _, report, _, err, _ = replay(tmp_path / 'bag', '--from', 1, '--to', 2)
    assert not err and report['recordings'][0]['steps'] == 5
    assert replay(tmp_path / 'bag', '--from', 3.5)[3].endswith('is 3.0 s long\n')
