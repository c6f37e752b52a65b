from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mockserver.audio.wav import write_wav
from mockserver.calls.script_file import EXAMPLE, read_script
from mockserver.documents.problems import DocumentError


def test_a_file_lists_words_steps_and_sounds_beside_it(tmp_path: Path):
    write_wav(tmp_path / "wait.wav", np.zeros(80, np.int16), 8000)
    file = tmp_path / "caller.yaml"
    file.write_text("\n".join(EXAMPLE), encoding="utf-8")
    entries = ["I need a cleaning.", {"interrupt": "800ms"}, tmp_path / "wait.wav", {"press": "1#"}]
    assert read_script(file) == entries


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("turns: []", "a caller's file has `script`"),
        ("script:\n  - 5", "caller.yaml:2:"),
        ("script:\n  - Hello\n  - {pres: 1}", "caller.yaml:3:"),
        ("script:\n  - {say: Hi, press: '1'}", "expected one of say"),
        ("script:\n  - {audio: missing.wav}", "there is no file 'missing.wav'"),
    ],
)
def test_a_file_that_is_no_script_is_refused_with_its_lines(text: str, problem: str, tmp_path: Path):
    file = tmp_path / "caller.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError) as refused:
        read_script(file)
    assert problem in str(refused.value)
