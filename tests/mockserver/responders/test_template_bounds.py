from __future__ import annotations

import pytest

from mockserver.responders.templates import Template, TemplateError


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ 'a' * 1000000000 }}", "a repetition makes more than"),
        ("{{ 1000000000 * 'a' }} and", "a repetition makes more than"),
        ("{{ 9 ** 999999999 }}", "a power above 64"),
        ("{% for i in range(90000) %}{% for j in range(90000) %}x{% endfor %}{% endfor %}", "make its loops shorter"),
    ],
)
def test_a_template_that_makes_too_much_is_refused_with_its_place(text: str, why: str):
    template = Template(text, "booking.yaml:3")
    with pytest.raises(TemplateError, match=why):
        template.text({})
    with pytest.raises(TemplateError, match="booking"):
        template.value({})


def test_small_repetitions_and_powers_are_as_before():
    assert Template("{{ '-' * 3 }} {{ 2 ** 10 }} {{ 3 * 4 }}", "x").text({}) == "--- 1024 12"
