"""Rows are given back as they were kept."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from replay.viewer.rows import PackedRows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=4))
def test_rows_are_given_back_as_they_were_kept(rows: list[dict[str, object]]) -> None:
    packed = PackedRows()
    for row in rows:
        packed.append(row)
    assert json.dumps(packed[:]) == json.dumps(rows)
    assert [json.dumps(row) for row in packed] == [json.dumps(row) for row in rows]
    assert packed[1:] == rows[1:]


def test_rows_that_json_cannot_give_back_are_kept_as_they_are() -> None:
    packed, row = PackedRows(), {"large": 1 << 80, "half": "\ud800"}
    packed.append(row)
    assert packed[0] is row
