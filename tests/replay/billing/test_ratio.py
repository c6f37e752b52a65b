"""Ratios are exact, as fractions are."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from replay.billing.ratio import Ratio, difference, product, quotient, total

RATIOS = st.tuples(st.integers(-(10**9), 10**9), st.integers(1, 10**6))


@given(st.lists(RATIOS, max_size=6), RATIOS)
def test_ratios_are_as_exact_as_fractions(parts: list[Ratio], other: Ratio):
    fractions, further = [Fraction(*each) for each in parts], Fraction(*other)
    assert Fraction(*total(parts)) == sum(fractions, Fraction(0))
    assert Fraction(*difference(total(parts), other)) == sum(fractions, Fraction(0)) - further
    assert Fraction(*product(total(parts), other)) == sum(fractions, Fraction(0)) * further
    assert quotient(total(parts)) == float(sum(fractions, Fraction(0)))
