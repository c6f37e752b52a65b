"""Exact numbers as numerator and denominator, which are not shortened.

To shorten a fraction takes longer than to add two. So sums that each response needs are kept in this form, and become a
`Fraction` when they are read.
"""

from __future__ import annotations

from collections.abc import Iterable

Ratio = tuple[int, int]
"""Numerator and denominator. The denominator is above 0."""
NONE: Ratio = (0, 1)


def total(parts: Iterable[Ratio]) -> Ratio:
    """The sum."""
    all, over = NONE
    for part, each in parts:
        if each == over:
            all += part
        else:
            all, over = all * each + part * over, over * each
    return all, over


def difference(one: Ratio, other: Ratio) -> Ratio:
    """One minus the other."""
    return total((one, (-other[0], other[1])))


def product(one: Ratio, other: Ratio) -> Ratio:
    """One times the other."""
    return one[0] * other[0], one[1] * other[1]


def quotient(ratio: Ratio) -> float:
    """The nearest float."""
    return ratio[0] / ratio[1]
