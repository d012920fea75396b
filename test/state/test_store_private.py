# SPDX-License-Identifier: Apache-2.0
"""Other local users: they can neither read the state file, nor block it, nor divert a write with a planted name."""

import fcntl
import os
import struct
import subprocess
import sys
from contextlib import contextmanager

import pytest

from aura_ros.common.errors import StateLocked
from aura_ros.state.format import Snapshot
from aura_ros.state.store import StateStore

pytestmark = pytest.mark.fault('F32')
SIZE = 4224


def snapshot(seq):
    return Snapshot(struct.pack('<f', seq) * (SIZE // 4), 'e', seq, seq)


def open_store(path):
    return StateStore(path, 'ab' * 32, '<f4[32,32] <f4[32]', SIZE)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'state'


@pytest.fixture
def store(path):
    store = open_store(path)
    yield store
    store.close()


def mode(path):
    return path.stat().st_mode & 0o777


@pytest.fixture(autouse=True)
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_only_the_owner_can_read_the_file(store, path, measured):
    assert mode(path) == 0o600
    store.commit(snapshot(0))
    path.unlink()
    store.commit(snapshot(1))  # created again
    assert mode(path) == 0o600
    measured('new file, and a file created again: mode 0600 with umask 0')


@pytest.mark.parametrize('before', [0o644, 0o666, 0o640])
def test_a_readable_file_of_an_earlier_release_becomes_private(store, path, before):
    store.commit(snapshot(0))
    store.close()
    path.chmod(before)
    again = open_store(path)
    again.load()
    again.close()
    assert mode(path) == 0o600


def test_a_file_that_is_no_state_keeps_its_mode(path):
    path.write_text('notes of somebody')
    path.chmod(0o644)
    open_store(path).close()
    assert mode(path) == 0o644


@pytest.mark.parametrize('kind', [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_a_reader_that_locks_the_file_does_not_block_the_node(store, path, measured, kind):
    store.commit(snapshot(0))
    store.close()
    path.chmod(0o644)  # as an earlier release left it
    with path.open('rb') as reader:
        fcntl.flock(reader, kind | fcntl.LOCK_NB)
        again = open_store(path)
        again.commit(snapshot(1))
        again.close()
    measured(f'flock {"exclusive" if kind == fcntl.LOCK_EX else "shared"} by a reader: no effect')


READER = """
import fcntl, os, struct, sys
file = open(sys.argv[1], 'rb')  # first, because the folders of the test are private
if int(sys.argv[2]) != os.geteuid():
    os.setuid(int(sys.argv[2]))
if sys.argv[3] == 'process':
    fcntl.lockf(file, fcntl.LOCK_SH)
else:
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack('@hhqqi4x', fcntl.F_RDLCK, 0, 0, 0, 0))
print('locked', flush=True)
sys.stdin.read()
"""


@contextmanager
def reader(path, user, kind):
    """A process of `user` that has locked the file for reading."""
    command = [sys.executable, '-c', READER, str(path), str(user), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'locked\n'
        yield
        process.stdin.close()


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can start a process of another user')
@pytest.mark.parametrize('kind', ['process', 'description'])
def test_a_lock_for_reading_of_another_user_does_not_block_the_node(store, path, measured, kind):
    store.commit(snapshot(3))
    store.close()
    path.chmod(0o644)  # as an earlier release left it
    with reader(path, 65534, kind):
        again = open_store(path)
        assert again.load().snapshot.seq == 3
        again.commit(snapshot(4))
        again.close()
        assert mode(path) == 0o600
    third = open_store(path)
    assert third.load().snapshot.seq == 4
    third.close()
    measured(f'fcntl lock for reading ({kind}) by another user: the node works on in a private copy')


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can start a process of another user')
def test_a_file_that_is_no_state_is_not_copied(path):
    path.write_bytes(bytes(1_000_000))
    path.chmod(0o644)
    before = path.stat().st_ino
    with reader(path, 65534, 'process'), pytest.raises(StateLocked):
        open_store(path)
    assert path.stat().st_ino == before


@pytest.mark.parametrize('kind', ['process', 'description'])
def test_a_lock_for_reading_of_the_same_user_is_respected(store, path, kind):
    """A node whose file is read-only holds such a lock."""
    store.close()
    with reader(path, os.geteuid(), kind), pytest.raises(StateLocked):
        open_store(path)


def test_a_lock_for_writing_by_a_reader_is_refused_by_the_system(store, path):
    with path.open('rb') as reader, pytest.raises(OSError):
        fcntl.lockf(reader, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_second_store_is_refused_with_the_process_of_the_first(store, path):
    with pytest.raises(StateLocked, match=f'in use by process {os.getpid()}'):
        open_store(path)
    store.close()
    open_store(path).close()


@pytest.mark.parametrize('kind', ['link', 'dangling link', 'hard link', 'file', 'pipe'])
@pytest.mark.parametrize('when', ['new', 'again'])
def test_what_stands_at_the_name_beside_is_not_written_to(tmp_path, path, measured, kind, when):
    victim, beside = tmp_path / 'victim', tmp_path / 'state.moving'
    victim.write_text('precious')
    store = open_store(path) if when == 'again' else None
    if kind == 'link':
        beside.symlink_to(victim)
    elif kind == 'dangling link':
        beside.symlink_to(tmp_path / 'created by the link')
    elif kind == 'hard link':
        beside.hardlink_to(victim)
    elif kind == 'file':
        beside.write_text('planted')
    else:
        os.mkfifo(beside)
    if store is None:
        store = open_store(path)
    else:
        path.unlink()
    store.commit(snapshot(1))
    store.commit(snapshot(2))
    store.close()
    assert victim.read_text() == 'precious'
    assert {file.name for file in tmp_path.iterdir()} == {'state', 'victim'}
    assert not path.is_symlink() and mode(path) == 0o600
    measured(f'{kind} at state.moving, {when}: replaced, its target unchanged')


def test_a_link_put_at_the_resolved_name_is_not_followed(tmp_path, path, monkeypatch):
    victim = tmp_path / 'victim'
    victim.write_text('precious')
    whole = os.path.realpath

    def late(name, **options):
        found = whole(name, **options)
        path.symlink_to(victim)  # between resolving and opening
        return found

    monkeypatch.setattr('os.path.realpath', late)
    with pytest.raises(OSError, match='symbolic links'):
        open_store(path)
    assert victim.read_text() == 'precious'
