# SPDX-License-Identifier: Apache-2.0
"""Bags that unpack or repeat without limit, and definitions that a parser takes years for, are refused by name."""

import os
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard
from lz4.frame import compress as lz4_compress
from mcap.writer import CompressionType, Writer
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.typesys import TypesysError

from aura_ros.common.errors import BagError
from aura_ros.recordings import chunk_limits, definitions, mcap_salvage, storage, unpacking
from aura_ros.recordings.bags import Bag

pytestmark = pytest.mark.fault('F33')
MIB = 1 << 20
LINE = '=' * 80
TOPICS = """CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT,
offered_qos_profiles TEXT); INSERT INTO topics VALUES(1, '/x', 'std_msgs/msg/String', 'cdr', '');"""


def text(size: int) -> bytes:
    """Return a std_msgs/String of `size` zeros in CDR."""
    return b'\0\1\0\0' + struct.pack('<I', size + 1) + bytes(size) + b'\0'


def mcap(path: Path, data: list[bytes], compression: CompressionType, whole: bool = True) -> Path:
    with path.open('wb') as file:
        writer = Writer(file, chunk_size=64 * MIB, compression=compression)
        writer.start(profile='ros2', library='x')
        schema = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data\n')
        channel = writer.register_channel('/x', 'cdr', schema)
        for number, one in enumerate(data, 1):
            writer.add_message(channel, number, one, number)
        writer.finish()
    if not whole:
        path.write_bytes(path.read_bytes()[:-40])
    return path


def read(path: Path) -> int:
    with Bag(path) as bag:
        return sum(1 for _ in bag.samples(['/x']))


@pytest.mark.parametrize('whole', [True, False])
@pytest.mark.parametrize('compression', [CompressionType.ZSTD, CompressionType.LZ4])
def test_a_chunk_beyond_the_limit_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: CompressionType, whole: bool
) -> None:
    path = mcap(tmp_path / 'x.mcap', [text(4 * MIB)], compression, whole)
    assert read(path) == 1
    monkeypatch.setattr(unpacking, 'CHUNK_BYTES', MIB)
    with pytest.raises(BagError) as error:
        found = read(path)
        raise BagError(f'{found} messages of x.mcap')
    assert 'x.mcap' in str(error.value) and '1 messages' not in str(error.value)


def test_a_message_beyond_the_limit_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zstandard.ZstdCompressor().compress(text(4 * MIB))
    path = mcap(tmp_path / 'x.mcap', [packed], CompressionType.NONE)
    assert read(path) == 1
    monkeypatch.setattr(storage, 'MESSAGE_BYTES', MIB)
    assert read(path) == 0


@pytest.mark.parametrize('sized', [True, False])
def test_decompression_ends_at_its_limit(sized: bool, measured: Callable[[str], None]) -> None:
    data = zstandard.ZstdCompressor(write_content_size=sized).compress(bytes(64 * MIB))
    assert len(unpacking.unpack_zstd(data, 64 * MIB)) == 64 * MIB
    for unpack, packed in ((unpacking.unpack_zstd, data), (unpacking.unpack_lz4, lz4_compress(bytes(64 * MIB)))):
        with pytest.raises(BagError, match='unpacks to more than'):
            unpack(packed, 2 * MIB)
    if sized:
        measured(f'zstd and lz4 bombs ({len(data):,} bytes for 64 MiB): refused at their limit')


def test_a_file_beyond_the_limit_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    path = tmp_path / 'x.mcap.zstd'
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(200 * MIB)))
    with pytest.raises(BagError, match='unpacks to more than'):
        Bag(path)
    assert [*tmp_path.iterdir()] == [path]
    monkeypatch.setattr(unpacking.shutil, 'disk_usage', lambda _: SimpleNamespace(free=5))
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(MIB)))
    with pytest.raises(BagError, match='set TMPDIR'):
        Bag(path)
    assert [*tmp_path.iterdir()] == [path]


def test_a_signal_leaves_no_unpacked_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: Callable[[str], None]
) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    packed = tmp_path / 'x.mcap.zstd'
    packed.write_bytes(zstandard.ZstdCompressor().compress(bytes(MIB)))
    script = (
        'import sys, time\nfrom pathlib import Path\n'
        'from aura_ros.common.program import end_on_signals\n'
        'from aura_ros.recordings.unpacking import UnpackedFile\n'
        f'end_on_signals()\nfile = UnpackedFile(Path({str(packed)!r}))\nprint(flush=True)\ntime.sleep(600)\n'
    )
    for number, left in ((signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, 1)):
        environment = os.environ | {'TMPDIR': str(tmp_path)}
        with subprocess.Popen(
            [sys.executable, '-c', script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None and process.stdout.readline()
            process.send_signal(number)
        assert len(list(tmp_path.glob('aura-replay-*'))) == left
    old = time.time() - 60
    os.utime(next(tmp_path.glob('aura-replay-*')), (old, old))
    unpacking.UnpackedFile(packed).close()
    assert [*tmp_path.iterdir()] == [packed]
    measured('SIGTERM, SIGINT: no temporary file; SIGKILL: removed by the next run')


@pytest.mark.parametrize(
    ('script', 'words'),
    [
        (
            """CREATE VIEW messages AS WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r)
            SELECT i AS id, 1 AS topic_id, i AS timestamp, x'00010000' AS data FROM r;""",
            "view 'messages' is not allowed",
        ),
        (
            """CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER,
            data BLOB AS (zeroblob(900000000))); INSERT INTO messages(id, topic_id, timestamp) VALUES(1, 1, 1);""",
            "table 'messages' computes a column",
        ),
    ],
)
def test_a_database_that_computes_its_rows_is_refused(
    tmp_path: Path, script: str, words: str, measured: Callable[[str], None]
) -> None:
    path = tmp_path / 'x.db3'
    database = sqlite3.connect(path)
    database.executescript(TOPICS + script)
    database.close()
    with pytest.raises(BagError) as error:
        Bag(path)
    assert words in str(error.value)
    measured(f'{words}: refused')


def idl(field: str) -> MessageDefinition:
    data = f'module p {{ module msg {{ struct X {{ {field} }}; }}; }};'
    return MessageDefinition(MessageDefinitionFormat.IDL, data)


def msg(data: str) -> MessageDefinition:
    return MessageDefinition(MessageDefinitionFormat.MSG, data)


CHAIN = ''.join(f'{LINE}\nMSG: p/A{number}\np/A{number + 1} x\n' for number in range(60))
CODE = "__import__('os').system('touch /')"


@pytest.mark.parametrize(
    'definition',
    [
        idl(f'uint8 d[{"(" * 12}1{")" * 12}];'),
        idl('uint8 d[ ( 1 ) ];'),
        idl('uint8 d[1 << 60000000000];'),
        idl('uint8 d[99999 * 99999];'),
        idl('uint8 d[9000000000000000000];'),
        idl(f'uint8 d["{CODE}"];'),
        idl(f'sequence<uint8, "{CODE}"> d;'),
        msg('string[2000000000] x\n'),
        msg('uint8[9000000000000000000] x\n'),
        msg(f'p/E[2000000000] x\n{LINE}\nMSG: p/E\n'),
        msg(f'p/E[1000] x\n{LINE}\nMSG: p/E\np/F[1000] x\n{LINE}\nMSG: p/F\nstring x\n'),
        msg('p/X x\n'),
        msg(f'p/Y x\n{LINE}\nMSG: p/Y\np/X[] x\n'),
        msg(f'p/A0 x\n{CHAIN}{LINE}\nMSG: p/A60\nuint8 x\n'),
        msg('# ' + 'x' * (2 * MIB)),
    ],
)
def test_a_definition_beyond_a_limit_is_refused(definition: MessageDefinition) -> None:
    with pytest.raises(TypesysError):
        definitions.parse(definition, 'p/msg/X')


def test_a_definition_that_the_parser_needs_too_long_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, 'DEFINITION_CALLS', 100)
    with pytest.raises(TypesysError, match='too many steps'):
        definitions.parse(msg('uint8 x\n'), 'p/msg/X')
    assert sys.getprofile() is None


def test_ordinary_definitions_are_read() -> None:
    field = '@verbatim (language="comment", text="a << (b * c)") float x; uint8 d[36]; sequence<double, 9> s; // (( *'
    assert definitions.parse(idl(field + '\n'), 'p/msg/X')
    assert definitions.parse(msg('float64[36] covariance\nstring<=20[<=5] names\n'), 'p/msg/X')


def test_a_long_record_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mcap(tmp_path / 'x.mcap', [text(2 * MIB), text(1)], CompressionType.NONE, whole=False)
    monkeypatch.setattr(mcap_salvage, 'CHUNK_BYTES', MIB)
    with pytest.raises(BagError, match=r'no whole message|first whole message|a record is larger than'):
        Bag(path)


@pytest.mark.fault('F34')
def test_a_path_that_is_no_recording_is_refused_in_one_sentence(tmp_path: Path) -> None:
    loop, empty, odd = tmp_path / 'loop.mcap', tmp_path / 'empty.db3', tmp_path / 'odd'
    loop.symlink_to(loop)
    empty.write_bytes(b'')
    odd.mkdir()
    (odd / 'metadata.yaml').write_text('rosbag2_bagfile_information: {relative_file_paths: ["x\\0y.mcap", 7, [1]]}')
    for path in (loop, empty, odd, Path('x\0y.mcap'), Path('x' * 5000)):
        with pytest.raises(BagError) as error:
            Bag(path)
        assert '\n' not in str(error.value)


def chunked(path: Path, spans: list[tuple[int, int]], size: int, whole: bool = True) -> Path:
    """Write an MCAP file with a chunk of `size` bytes for each span of time."""
    with path.open('wb') as file:
        writer = Writer(file, chunk_size=64 * MIB, compression=CompressionType.ZSTD)
        writer.start(profile='ros2', library='x')
        schema = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data\n')
        channel = writer.register_channel('/x', 'cdr', schema)
        for begin, end in spans:
            writer.add_message(channel, begin, text(size), begin)
            writer.add_message(channel, end, text(1), end)
            writer.flush()
        writer.finish()
    if not whole:
        path.write_bytes(path.read_bytes()[:-40])
    return path


@pytest.mark.parametrize('whole', [True, False])
def test_chunks_of_the_same_time_are_limited_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: Callable[[str], None], whole: bool
) -> None:
    monkeypatch.setattr(chunk_limits, 'OVERLAP_BYTES', 5 * MIB)
    one_by_one = [(number * 10 + 1, number * 10 + 10) for number in range(8)]
    assert read(chunked(tmp_path / 'ordered.mcap', one_by_one, MIB, whole)) == 16
    together = chunked(tmp_path / 'together.mcap', [(1 + number, 1000) for number in range(8)], MIB, whole)
    with pytest.raises(BagError, match=r'together\.mcap: chunks with messages of the same time'):
        read(together)
    measured(f'8 chunks of 1 MiB at the same time ({together.stat().st_size} bytes): refused at the limit of 5 MiB')


def test_files_of_the_same_time_are_limited_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_limits, 'OVERLAP_BYTES', 5 * MIB)
    for number in range(8):
        chunked(tmp_path / f'{number}.mcap', [(1, 1000)], MIB)
    with pytest.raises(BagError, match='chunks with messages of the same time'):
        read(tmp_path)


@pytest.mark.parametrize('whole', [True, False])
def test_all_chunks_are_limited_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    monkeypatch.setattr(chunk_limits, 'PARTS_BYTES', 5 * MIB)
    path = chunked(tmp_path / 'x.mcap', [(number * 10 + 1, number * 10 + 10) for number in range(50)], MIB, whole)
    with pytest.raises(BagError, match=r'x\.mcap: its chunks unpack to [\d,]+ bytes or more'):
        read(path)


def test_an_index_with_wrong_times_does_not_hide_an_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_limits, 'OVERLAP_BYTES', 5 * MIB)
    path = chunked(tmp_path / 'x.mcap', [(1 + number, 1000 + number) for number in range(8)], MIB)
    data = path.read_bytes()
    for number in range(8):  # the index states that each chunk has messages of one time only
        times = struct.pack('<QQ', 1 + number, 1000 + number)
        place = data.rindex(times)
        data = data[:place] + struct.pack('<QQ', 1 + number, 1 + number) + data[place + 16 :]
    path.write_bytes(data)
    with Bag(path) as bag:
        assert sum(1 for _ in bag.samples(['/x'])) < 16
        assert 'chunks with messages of the same time' in bag.partial
