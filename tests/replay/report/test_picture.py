"""The picture of a call: that it is one, and that what matters is on it."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Sequence
from math import pi, sin
from pathlib import Path

import pytest

from replay.report.picture import LONGEST_S, WIDTH, Clip, Mark, NoPillow, Track, _placed, _rows, _Sheet, draw

RATE = 8000
RED = (220, 38, 38)


def hum(seconds: float, loud: int = 9000) -> bytes:
    count = round(seconds * RATE)
    return struct.pack(f"<{count}h", *(round(loud * sin(2 * pi * 150 * n / RATE)) for n in range(count)))


TRACKS = [
    Track("caller", [Clip(1.0, hum(2.0))]),
    Track("assistant", [Clip(4.0, hum(2.0)), Clip(6.0, hum(1.0), faded="never played")]),
]
MARKS = [
    Mark(1.0, "caller", "A dental cleaning, please."),
    Mark(4.0, "assistant", "I have 09:30. Which one suits you, and what is your name, and is there anything else?"),
    Mark(3.0, "turns", "speech_stopped"),
    Mark(3.1, "turns", "speech_started"),
    Mark(6.0, "agent", "cut", alarm=True),
    Mark(6.95, "agent", "hung up, at the very end"),
]


def drawn(path: Path, tracks: Sequence[Track] = TRACKS, marks: Sequence[Mark] = MARKS) -> Path:
    pytest.importorskip("PIL")
    draw(path / "call.png", "A call", "with a cut", tracks, marks, RATE)
    return path / "call.png"


def laid_out(marks: Sequence[Mark]):
    pillow = pytest.importorskip("PIL.Image")
    from PIL.ImageDraw import Draw

    sheet = _Sheet(Draw(pillow.new("RGB", (1, 1))), 10.0)
    return sheet, _rows(sheet, [], marks)


def test_the_picture_is_as_wide_as_promised_and_shows_both_sounds_and_the_cut(tmp_path: Path):
    image = pytest.importorskip("PIL.Image").open(drawn(tmp_path)).convert("RGB")
    colours = {colour for _, colour in image.getcolors(1 << 20)}
    assert image.width == WIDTH
    assert 300 < image.height < 1000
    assert {(29, 78, 216), (15, 118, 110), RED} <= colours  # the caller, the assistant, the alarm


def test_sound_is_drawn_where_it_was_and_nowhere_else(tmp_path: Path):
    image = pytest.importorskip("PIL.Image").open(drawn(tmp_path)).convert("RGB")
    columns = {x for x in range(WIDTH) for y in range(92, 196) if image.getpixel((x, y)) == (29, 78, 216)}
    second = (WIDTH - 132 - 28) / 7
    assert min(columns) == pytest.approx(132 + second, abs=4)
    assert max(columns) == pytest.approx(132 + 3 * second, abs=8)


@pytest.mark.parametrize("lane", ["caller", "agent"])
def test_every_label_is_drawn(tmp_path: Path, lane: str):
    image = pytest.importorskip("PIL.Image")
    with_it = drawn(tmp_path, marks=[*MARKS, Mark(2.0, lane, "one more thing")])
    (tmp_path / "with.png").write_bytes(with_it.read_bytes())
    without = image.open(drawn(tmp_path)).convert("RGB")
    assert image.open(tmp_path / "with.png").convert("RGB").tobytes() != without.tobytes()


def test_labels_never_cover_each_other_and_stay_on_the_paper():
    marks = [Mark(tick / 20, "turns", f"event number {tick} " * (1 + tick % 4)) for tick in range(201)]
    sheet, (row,) = laid_out(marks)
    boxes = []
    for label in row.labels:
        right = label.left + max(sheet.long(line, 15) for line in label.lines)
        assert right <= WIDTH - 27
        boxes.append((label.left, right, label.top, label.top + 20 * len(label.lines)))
    assert len(boxes) == 201
    for i, (left, right, top, bottom) in enumerate(boxes):
        for other in boxes[:i]:
            assert right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top


def test_a_long_text_is_wrapped_and_no_word_of_it_is_lost():
    sheet, _ = laid_out([Mark(0, "x", "x")])
    text = "Your reference is DC-0706-0930. See you then! " * 5
    (label,) = _placed(sheet, [Mark(9.9, "assistant", text)], 0, 300)
    assert len(label.lines) > 3
    assert " ".join(label.lines) == text.strip()


def test_a_call_without_sound_or_events_is_a_picture_too(tmp_path: Path):
    assert drawn(tmp_path, tracks=[Track("caller", [])], marks=[]).stat().st_size > 1000
    assert drawn(tmp_path, tracks=[], marks=[]).stat().st_size > 1000
    assert drawn(tmp_path, tracks=[Track("caller", [Clip(0, hum(0.5, loud=0))])], marks=[]).stat().st_size > 1000


def test_hours_are_not_drawn(tmp_path: Path):
    with pytest.raises(ValueError, match="too long for a picture"):
        drawn(tmp_path, marks=[Mark(LONGEST_S + 1, "x", "x")])


def test_without_pillow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(NoPillow, match=r"pip install .*\[picture\]'"):
        draw(tmp_path / "call.png", "A call", "", TRACKS, MARKS, RATE)


def test_pillow_is_not_loaded_before_something_is_drawn():
    probe = "import sys, replay.report.picture; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], cwd=Path(__file__).parents[3], check=False).returncode == 0
