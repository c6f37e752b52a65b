"""Where a recording goes: a file beside the cassette at first, and the cassette itself once there is a call to keep.

The file beside is opened and locked before the proxy is ready. So a place that cannot be written to, and a second
recorder of the same cassette, are noticed before a call is made. An existing cassette stays until the new one is
complete.
"""

from __future__ import annotations

import contextlib
import os
import sys
import zlib
from io import FileIO
from pathlib import Path

from replay.cassette.file import BadCassette, CannotRecord, Cassette

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_REFUSED = 2
"""Records of a handshake that was refused."""
_LOCKED_BYTE = 0x7FFF_FFFF
"""The byte that is locked on Windows, where nobody else can read what is locked: mostly behind the end of the file."""
_NAME = 80
"""Characters of the cassette's name that the name of the file beside it has."""


class Destination:
    """The place of one recording. Raises CannotRecord if the cassette cannot be written, or is being written.

    `path`: the cassette; through a link, the file that it points to. `replaces`: an existing cassette gives way to a
    complete one.
    """

    def __init__(self, path: Path, *, replaces: bool) -> None:
        self.path = path
        self._target = Path(os.path.realpath(path))
        self.replaces = replaces
        self.published = False
        """Whether the records are in the cassette itself by now."""
        name = self._target.name
        self.beside = self._target.with_name(f".{name[:_NAME]}.{zlib.crc32(name.encode(errors='replace')):08x}.part")
        """The file beside the cassette."""
        self._check(path)
        try:
            self.file = FileIO(os.open(self.beside, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+")
        except OSError as problem:
            raise CannotRecord(f"{path}: {problem.strerror}; choose a folder that may be written to") from problem
        if not _locked(self.file.fileno()):
            self.file.close()
            raise CannotRecord(f"{path} is being written by another recording; choose another name, or end that one")
        self.rescued: Path | None = None
        """What a recording that was killed had left beside the cassette; it has this name now."""
        try:
            self.rescued = self._rescue()
        except OSError as problem:
            self.file.close()
            raise CannotRecord(
                f"{path}: {problem.strerror}; records of an earlier recording are in {self.beside}: move it away"
            ) from problem
        if self.rescued is not None:
            self.file.close()
            self.file = FileIO(os.open(self.beside, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+")
            _locked(self.file.fileno())
        self.file.truncate(0)

    def _check(self, path: Path) -> None:
        try:
            there = os.stat(self._target)
        except FileNotFoundError:
            there = None
        except OSError as problem:
            raise CannotRecord(f"{path}: {problem.strerror}; choose another name") from problem
        if there is None:
            return
        if self._target.is_dir():
            raise CannotRecord(f"{path} is a folder; choose another name")
        if not self.replaces:
            raise CannotRecord(f"{path} is there already; choose another name or overwrite it")
        with contextlib.suppress(OSError), self._target.open("rb") as old:
            if not _locked(old.fileno()):
                raise CannotRecord(f"{path} is being written by another recording; end that one, or choose another")

    def publish(self) -> None:
        """There is a call to keep. A new cassette gets its name at once; an existing one stays until `finish`. Raises
        CannotRecord if a new one has come into being meanwhile.
        """
        if not self.published and not self.replaces:
            self._move()

    def finish(self, *, keep: bool, complete: bool) -> None:
        """The recording is over, and its file is closed. `keep`: there is a call to keep. `complete`: it has its end
        mark. An incomplete recording does not replace a cassette: it becomes `NAME.cut1.tape`. Raises CannotRecord.
        """
        if self.published:
            return
        if not keep:
            with contextlib.suppress(OSError):
                self.beside.unlink()
        elif complete or not self.replaces:
            self._move()
        else:
            with contextlib.suppress(OSError):
                self.rescued = self._rescue()

    def _rescue(self) -> Path | None:
        """Give an incomplete recording with a call in it a name that users see. Returns the name. Raises OSError."""
        try:
            with Cassette.so_far(self.beside) as cassette:
                if len(cassette) <= _REFUSED:
                    return None
        except (BadCassette, OSError):
            return None
        number, target = 1, self._target
        while os.path.lexists(name := target.with_name(f"{target.stem}.cut{number}{target.suffix}")):
            number += 1
        try:
            self.beside.rename(name)
        except PermissionError:
            self.file.close()  # Windows renames no open file
            self.beside.rename(name)
        return name

    def give_up(self) -> None:
        """Nothing was recorded."""
        self.file.close()
        self.finish(keep=False, complete=False)

    def _move(self) -> None:
        try:
            if self.replaces:
                self.beside.replace(self._target)
            elif os.path.lexists(self._target):
                raise FileExistsError(17, "there is a file of that name by now")
            else:
                self.beside.rename(self._target)
        except PermissionError as problem:
            if self.file.closed:
                raise CannotRecord(f"{self.path}: {problem.strerror}; the recording is in {self.beside}") from problem
            return  # Windows renames no open file; `finish` does it then
        except OSError as problem:
            raise CannotRecord(f"{self.path}: {problem.strerror}; the recording is in {self.beside}") from problem
        self.published = True


def _locked(file: int) -> bool:
    """Lock an open file for this process, until it is closed. False: another one has it."""
    if sys.platform == "win32":
        place = os.lseek(file, 0, os.SEEK_CUR)
        try:
            os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        except OSError:
            return True  # a file system without locks
        finally:
            os.lseek(file, place, os.SEEK_SET)
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True
