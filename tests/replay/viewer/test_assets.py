"""The viewer's page: modules joined into one script, a policy that allows only it, and data that stays data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from replay.viewer.assets import WEB, NotAModule, page, script, style

MODULES = sorted(WEB.glob("*.js"))


def test_modules_are_joined_once_each_after_what_they_import(tmp_path: Path):
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nimport {\n  c,\n  d,\n} from "./c-d.js";\nb(c, d);\n')
    (tmp_path / "b.js").write_text('import { c } from "./c-d.js";\nexport function b() { return c; }\n')
    (tmp_path / "c-d.js").write_text("export const c = 1;\nexport class d {}\nconst hidden = 2;\n")
    joined = script("a", [tmp_path])
    assert [joined.count(f"const module_{name} =") for name in ("a", "b", "c_d")] == [1, 1, 1]
    assert joined.index("module_c_d =") < joined.index("module_b =") < joined.index("module_a =")
    assert "return { c, d };" in joined and not re.search(r"^(import|export)\b", joined, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('import { a } from "./a.js";\n', "imports itself"),
        ('import a from "./b.js";\n', "cannot be joined: import a from"),
        ("export default 1;\n", "cannot be joined: export default 1;"),
        ("export let a = 1;\n", "cannot be joined: export let a = 1;"),
    ],
)
def test_a_module_that_cannot_be_joined_is_named(text: str, told: str, tmp_path: Path):
    (tmp_path / "a.js").write_text(text)
    with pytest.raises(NotAModule, match=f"a.js.*{told}|a imports itself|a.js imports itself"):
        script("a", [tmp_path])


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_no_module_makes_markup_of_text_or_asks_another_address(module: Path):
    text = module.read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://", text
    )
    assert len(text.splitlines()) < 600


def test_the_policy_allows_the_page_its_script_and_its_style_and_no_request():
    code, sheet = script("page"), style()
    made = page("call", code, sheet, {})
    policy = dict(part.split(" ", 1) for part in made.policy.split("; "))
    for name, content in (("script-src", code), ("style-src", sheet)):
        assert policy[name] == f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
    assert policy["default-src"] == "'none'" and "connect-src" not in policy
    assert f'<meta http-equiv="Content-Security-Policy" content="{made.policy}">' in made.html
    assert not re.search(r"\s(src|href|style|on\w+)=|url\(|@import", made.html.replace(code, "").replace(sheet, ""))
    assert "url(" not in sheet and "@import" not in sheet


def test_data_cannot_end_its_element():
    nasty = "</script><script>alert(1)</script><!-- \u2028 & <img src=x onerror=alert(1)>"
    made = page(nasty, "", "", {"call": {"text": nasty}}).html
    assert made.count("<script") == 2 and "<img" not in made and "<!--" not in made
    (block,) = re.findall(r'id="call">(.*?)</script>', made)
    assert json.loads(block) == {"text": nasty}
