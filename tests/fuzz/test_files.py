from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz.files import corpus, damaged, fire


def test_the_same_seed_damages_the_same_way(tmp_path: Path):
    suffix, data, _ = corpus(tmp_path)[0]
    first, again, other = (damaged(data, random.Random(seed), suffix) for seed in ("a", "a", "b"))
    assert first == again != other


@pytest.mark.slow
def test_no_damaged_file_breaks_a_command(tmp_path: Path):
    done = Counter(islice(fire("suite", tmp_path), 150))
    assert any(what.endswith(" 0") for what in done)
    assert any(what.endswith(" 2") for what in done)
