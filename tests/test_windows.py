"""What differs on Windows, as far as another system can show it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from realtape.cli import main
from replay import stopping
from replay.cassette.file import CannotRecord, Cassette, Writer
from replay.cassette.frames import Text
from replay.cassette.records import Header, Record
from replay.relay import destination

ROOT = Path(__file__).resolve().parent.parent
HEADER = Header("mock", "ws://x", "xai", None, "2026-07-01", "t")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it pretends to be Windows, and looks into /proc")


@pytest.mark.slow
def test_every_module_loads_without_what_only_posix_has():
    command = [sys.executable, str(ROOT / "tests" / "windows.py")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


def as_on_windows(module: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A copy of the module, loaded with the platform of Windows."""
    assert module.__file__ is not None
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_on_windows", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        spec.loader.exec_module(copy)
    return copy


def test_ctrl_break_stops_a_server_whose_loop_takes_no_signal_handlers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    copy = as_on_windows(stopping, monkeypatch)

    class Loop(asyncio.SelectorEventLoop):
        def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: object) -> None:
            raise NotImplementedError

        def remove_signal_handler(self, sig: int) -> bool:
            raise NotImplementedError

    async def stopped() -> None:
        with copy.stop_signal() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(stop, 10)

    before = signal.getsignal(signal.SIGUSR1)
    loop = Loop()
    try:
        loop.run_until_complete(stopped())
    finally:
        loop.close()
    assert signal.getsignal(signal.SIGUSR1) == before


def test_a_second_recorder_is_refused_by_a_locked_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    held: dict[tuple[int, int], int] = {}

    def locking(file: int, mode: int, count: int) -> None:
        assert (mode, count) == (2, 1)
        if held.setdefault((os.fstat(file).st_ino, os.lseek(file, 0, os.SEEK_CUR)), file) != file:
            raise PermissionError(13, "Permission denied")

    msvcrt = types.ModuleType("msvcrt")
    msvcrt.__dict__.update(LK_NBLCK=2, locking=locking)
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    copy = as_on_windows(destination, monkeypatch)
    monkeypatch.setattr(copy.sys, "platform", "win32")
    first = copy.Destination(tmp_path / "a.tape", replaces=False)
    assert first.file.tell() == 0
    with pytest.raises(Exception, match="being written by another recording"):
        copy.Destination(tmp_path / "a.tape", replaces=False)
    first.give_up()


@pytest.fixture
def no_open_file_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows renames no file that is open, and replaces none."""

    def is_open(path: Path) -> bool:
        there = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
        return str(path.resolve()) in [os.readlink(each) for each in there if os.path.lexists(each)]

    def guarded(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def moved(self: Path, target: Path) -> Path:
            if is_open(self) or is_open(Path(target)):
                raise PermissionError(13, "The process cannot access the file because it is being used")
            return move(self, target)

        return moved

    monkeypatch.setattr(Path, "rename", guarded(Path.rename))
    monkeypatch.setattr(Path, "replace", guarded(Path.replace))


def long_tape(path: Path) -> Path:
    """A cassette that is too long to be held, so that it stays open while it is read."""
    writer = Writer(path, HEADER)
    for number in range(5):
        writer.write(Record(number, 0, "received", Text(b'{"type":"x","text":"' + b"a" * (1 << 20) + b'"}')))
    writer.end(9)
    return path


@pytest.mark.usefixtures("no_open_file_moves")
def test_files_are_closed_before_others_take_their_place(tmp_path: Path):
    tape = long_tape(tmp_path / "L\xe4nge und Platz.tape")
    for arguments in (["scrub", str(tape)], ["ignore", str(tape), "--add", "date"]):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
    with Cassette.open(tape) as cassette:
        assert len(cassette) == 5


@pytest.mark.usefixtures("no_open_file_moves")
@pytest.mark.parametrize("replaces", [True, False])
def test_a_recording_moves_once_it_is_closed_and_what_a_killed_one_left_is_kept(replaces: bool, tmp_path: Path):
    out = tmp_path / "a.tape"
    killed = destination.Destination(out, replaces=replaces)
    writer = Writer(out, HEADER, file=killed.file)
    for number in range(4):
        writer.write(Record(number, 0, "received", Text(b"{}")))
    writer.close()
    after = destination.Destination(out, replaces=replaces)
    assert after.rescued == tmp_path / "a.cut1.tape"
    writer = Writer(out, HEADER, file=after.file)
    after.publish()
    writer.end(1)
    after.finish(keep=True, complete=True)
    with Cassette.so_far(tmp_path / "a.cut1.tape") as cassette:
        assert len(cassette) == 4
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.cut1.tape", "a.tape"]


def test_records_that_cannot_be_moved_away_are_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    killed = destination.Destination(tmp_path / "a.tape", replaces=True)
    writer = Writer(tmp_path / "a.tape", HEADER, file=killed.file)
    for number in range(4):
        writer.write(Record(number, 0, "received", Text(b"{}")))
    writer.close()

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(CannotRecord, match="move it away"):
        destination.Destination(tmp_path / "a.tape", replaces=True)
    with Cassette.so_far(killed.beside) as cassette:
        assert len(cassette) == 4


def test_a_scenario_with_carriage_returns_is_read_from_a_path_with_spaces(tmp_path: Path):
    scenario = tmp_path / "\xfcber all.yaml"
    scenario.write_bytes("name: crlf\r\nturns:\r\n  - reply:\r\n      - say: Gr\xfc\xdf dich\r\n".encode())
    done = CliRunner().invoke(main, ["check", str(scenario)])
    assert done.exit_code == 0, done.output
