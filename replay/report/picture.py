"""A conversation as a picture: the audio of each side on one time axis, and events below it.

It knows audio, names and times, and nothing about services. Pillow (extra `picture`) is loaded when a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, sqrt
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING

from replay.cassette import g711
from replay.version import install_command

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

WIDTH = 1600
"""Pixels. The height follows from the content."""
LONGEST_S = 1800.0
"""Seconds. In a longer call a second is less than a pixel."""

_FINE = 2  # drawn twice as large and scaled down, for smooth edges
_LEFT, _RIGHT, _TOP = 132, 28, 92
_WAVE_PX, _LINE_PX, _GAP_PX = 104, 20, 14
_CAPTION_PX = 330
_TEXT, _SMALL, _TITLE = 15, 13, 27
_PAPER, _INK, _GREY, _FAINT, _RULE = "#ffffff", "#1f2937", "#6b7280", "#d1d5db", "#e8ebef"
_ALARM = "#dc2626"
_TRACKS = (("#1d4ed8", "#93b4f5", "#f3f7ff"), ("#0f766e", "#7fcabf", "#effaf7"))
"""Colours of loudness, peaks and background, for each track."""
_LANES = ("#6d28d9", "#b45309", "#0e7490", "#be185d")


class NoPillow(RuntimeError):
    """Pillow is not installed. The message says what to install."""


@dataclass(frozen=True, slots=True)
class Clip:
    """PCM16 little-endian mono that begins at `start_s`. `faded`: a label; a clip with one is drawn pale."""

    start_s: float
    pcm: bytes = field(repr=False)
    faded: str = ""


@dataclass(frozen=True, slots=True)
class Track:
    """One side of the conversation. Clips may leave gaps. If clips overlap, the later one covers the earlier."""

    name: str
    clips: Sequence[Clip]


@dataclass(frozen=True, slots=True)
class Mark:
    """An event at `at_s`. If `lane` is the name of a track, the label is what was said there. `alarm` draws it
    in red.
    """

    at_s: float
    lane: str
    label: str
    alarm: bool = False


def draw(path: Path, title: str, subtitle: str, tracks: Sequence[Track], marks: Sequence[Mark], rate: int) -> None:
    """Write the picture as a PNG, 1600 pixels wide. `rate`: the sample rate of all clips, in Hz.

    Lanes that are no tracks come below the tracks, in the order of `marks`. Raises NoPillow without Pillow, ValueError
    for more than half an hour.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise NoPillow(f"No picture: Pillow is not installed; {install_command('picture')}") from error
    end_s = _end_s(tracks, marks, rate)
    if end_s > LONGEST_S:
        raise ValueError(f"{end_s:.0f} s is too long for a picture; draw at most {LONGEST_S:.0f} s")
    sheet = _Sheet(ImageDraw.Draw(Image.new("RGB", (1, 1))), end_s)
    rows = _rows(sheet, tracks, marks)
    height = round(rows[-1].bottom if rows else _TOP) + 48
    image = Image.new("RGB", (WIDTH * _FINE, height * _FINE), _PAPER)
    sheet = _Sheet(ImageDraw.Draw(image), end_s)
    sheet.text(28, 24, title, _TITLE, _INK)
    sheet.text(28, 58, subtitle, _TEXT, _GREY)
    _axis(sheet, height - 40)
    for row in rows:
        _ground(sheet, row)
    for row in rows:
        _lines(sheet, row, height - 40)
    peak = _peak(tracks)
    for row in rows:
        _row(sheet, row, rate, peak)
    image.resize((WIDTH, height), Image.Resampling.LANCZOS).save(path, "PNG")


class _Sheet:
    """The drawing, in pixels of the finished picture, with a time axis."""

    def __init__(self, pen: ImageDraw, end_s: float) -> None:
        self.pen = pen
        self.end_s = end_s
        self._fonts: dict[int, FreeTypeFont | ImageFont] = {}

    def x(self, at_s: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(max(at_s / self.end_s, 0.0), 1.0)

    def font(self, size: int) -> FreeTypeFont | ImageFont:
        from PIL import ImageFont

        if size not in self._fonts:  # Pillow's own font, so that pictures look the same everywhere
            self._fonts[size] = ImageFont.load_default(size * _FINE)
        return self._fonts[size]

    def long(self, text: str, size: int) -> float:
        return float(self.pen.textlength(text, self.font(size))) / _FINE

    def text(self, x: float, y: float, text: str, size: int, colour: str, anchor: str = "la") -> None:
        self.pen.text((x * _FINE, y * _FINE), text, fill=colour, font=self.font(size), anchor=anchor)

    def line(self, x: float, top: float, bottom: float, colour: str, width: float = 1) -> None:
        at = x * _FINE
        self.pen.line((at, top * _FINE, at, bottom * _FINE), colour, round(width * _FINE))

    def box(self, left: float, top: float, right: float, bottom: float, colour: str, round_px: float = 0) -> None:
        corners = (left * _FINE, top * _FINE, right * _FINE, bottom * _FINE)
        self.pen.rounded_rectangle(corners, round_px * _FINE, fill=colour)

    def dot(self, x: float, y: float, radius: float, colour: str) -> None:
        at, high, by = x * _FINE, y * _FINE, radius * _FINE
        self.pen.ellipse((at - by, high - by, at + by, high + by), fill=colour, outline=_PAPER, width=_FINE)


@dataclass(frozen=True, slots=True)
class _Label:
    """A mark with its place: dot at `x`, text from `left`, lines of text from `top` on."""

    mark: Mark
    x: float
    left: float
    top: float
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    """A track with what was said, or a lane of events."""

    name: str
    top: float
    colour: str
    labels: tuple[_Label, ...]
    track: Track | None = None
    shades: tuple[str, str, str] = ("", "", "")

    @cached_property
    def text_top(self) -> float:
        return self.top + (_WAVE_PX + 6 if self.track else 0)

    @cached_property
    def bottom(self) -> float:
        ends = [label.top + _LINE_PX * len(label.lines) for label in self.labels]
        return max([self.text_top, *ends]) + _GAP_PX


def _end_s(tracks: Sequence[Track], marks: Sequence[Mark], rate: int) -> float:
    ends = [clip.start_s + len(clip.pcm) / 2 / rate for track in tracks for clip in track.clips]
    return max([1.0, *ends, *(mark.at_s for mark in marks)])


def _rows(sheet: _Sheet, tracks: Sequence[Track], marks: Sequence[Mark]) -> list[_Row]:
    rows: list[_Row] = []
    top: float = _TOP
    for i, track in enumerate(tracks):
        shades = _TRACKS[i % len(_TRACKS)]
        said = [mark for mark in marks if mark.lane == track.name]
        labels = _placed(sheet, said, top + _WAVE_PX + 6, _CAPTION_PX)
        rows.append(_Row(track.name, top, shades[0], labels, track, shades))
        top = rows[-1].bottom
    names = {track.name for track in tracks}
    for i, lane in enumerate(dict.fromkeys(mark.lane for mark in marks if mark.lane not in names)):
        labels = _placed(sheet, [mark for mark in marks if mark.lane == lane], top, 10 * _CAPTION_PX)
        rows.append(_Row(lane, top, _LANES[i % len(_LANES)], labels))
        top = rows[-1].bottom
    return rows


def _placed(sheet: _Sheet, marks: Sequence[Mark], top: float, widest: float) -> tuple[_Label, ...]:
    """Each label, on the first line where it covers no other."""
    labels: list[_Label] = []
    taken: list[list[tuple[float, float]]] = []  # per line of text, what is covered from where to where
    for mark in sorted(marks, key=lambda mark: mark.at_s):
        lines = _wrapped(sheet, mark.label, widest)
        wide = max(sheet.long(line, _TEXT) for line in lines)
        x = sheet.x(mark.at_s)
        left = x + 9
        if left + wide > WIDTH - _RIGHT:
            left = min(x - 9, WIDTH - _RIGHT) - wide if len(lines) == 1 else WIDTH - _RIGHT - wide
        span = (min(x - 6, left) - 6, max(x + 6, left + wide) + 6)
        first = 0
        while any(
            span[0] < right and left_end < span[1]
            for line in taken[first : first + len(lines)]
            for left_end, right in line
        ):
            first += 1
        taken.extend([] for _ in range(first + len(lines) - len(taken)))
        for line in taken[first : first + len(lines)]:
            line.append(span)
        labels.append(_Label(mark, x, left, top + first * _LINE_PX, lines))
    return tuple(labels)


def _wrapped(sheet: _Sheet, text: str, widest: float) -> tuple[str, ...]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and sheet.long(longer, _TEXT) > widest:
            lines.append(word)
        else:
            lines[-1] = longer
    return tuple(lines)


def _axis(sheet: _Sheet, y: float) -> None:
    step = next(step for step in (1, 2, 5, 10, 30, 60, 120, 300) if sheet.end_s / step <= 30)
    for tick in range(0, ceil(sheet.end_s) + 1, step):
        if tick <= sheet.end_s:
            sheet.line(sheet.x(tick), _TOP, y, _RULE)
            sheet.text(sheet.x(tick), y + 8, f"{tick} s", _SMALL, _GREY, "ma")


def _ground(sheet: _Sheet, row: _Row) -> None:
    if row.track is None:
        sheet.text(28, row.top + 2, row.name, _TEXT, row.colour)
        return
    sheet.box(_LEFT, row.top, WIDTH - _RIGHT, row.top + _WAVE_PX, row.shades[2], 6)
    sheet.text(28, row.top + _WAVE_PX / 2, row.name, _TEXT, row.colour, "lm")


def _lines(sheet: _Sheet, row: _Row, bottom: float) -> None:
    """From each event up to the audio it belongs to."""
    for label in row.labels:
        if label.mark.alarm:
            sheet.line(label.x, _TOP - 8, bottom, _ALARM, 1.5)
        elif row.track is None:
            sheet.line(label.x, _TOP, label.top + _LINE_PX / 2, _FAINT)


def _row(sheet: _Sheet, row: _Row, rate: int, peak: int) -> None:
    for clip in row.track.clips if row.track else ():
        _wave(sheet, clip, row, rate, peak)
    for label in row.labels:
        _write(sheet, label, row.colour)


def _wave(sheet: _Sheet, clip: Clip, row: _Row, rate: int, peak: int) -> None:
    loud, peaks = (_FAINT, _FAINT) if clip.faded else row.shades[:2]
    sound = g711.from_little_endian(clip.pcm)
    left, right = (sheet.x(clip.start_s + at / rate) for at in (0, len(sound)))
    middle, high = row.top + _WAVE_PX / 2, (_WAVE_PX / 2 - 8) / peak
    columns = max(1, round((right - left) * _FINE))
    for column in range(columns):
        part = sound[column * len(sound) // columns : (column + 1) * len(sound) // columns]
        if part:
            x, power = left + column / _FINE, sqrt(sum(map(mul, part, part)) / len(part))
            sheet.line(x, middle - max(part) * high, middle - min(part) * high, peaks, 1 / _FINE)
            sheet.line(x, middle - power * high, middle + power * high, loud, 1 / _FINE)
    if clip.faded:
        sheet.box(left + 5, row.top + 6, left + 11 + sheet.long(clip.faded, _SMALL), row.top + 24, row.shades[2], 3)
        sheet.text(left + 8, row.top + 8, clip.faded, _SMALL, _GREY)


def _write(sheet: _Sheet, label: _Label, colour: str) -> None:
    """The text on a background of its own, so that no line crosses it."""
    shown = _ALARM if label.mark.alarm else colour
    for number, line in enumerate(label.lines):
        top = label.top + number * _LINE_PX
        sheet.box(label.left - 3, top + 1, label.left + sheet.long(line, _TEXT) + 3, top + _LINE_PX, _PAPER)
        sheet.text(label.left, top + 2, line, _TEXT, _ALARM if label.mark.alarm else _INK)
    sheet.dot(label.x, label.top + _LINE_PX / 2 + 1, 5, shown)


def _peak(tracks: Sequence[Track]) -> int:
    sounds = [g711.from_little_endian(clip.pcm) for track in tracks for clip in track.clips]
    return max([1, *(max(max(sound), -min(sound)) for sound in sounds if sound)])
