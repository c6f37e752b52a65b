"""README and docs say what is so: their programs run, their commands exist, the files and headings they name are there.

A block in ```python runs as a file of its own, in a folder with `cassettes/` and the other files of its page: a block
that begins with `# NAME` is such a file. One that is a test file runs under pytest. In ```console and ```sh, each
`realtape ...` line is given to the command itself with `--help` behind it: an unknown subcommand or option fails, and
nothing is started. `<!-- no-run: reason -->` before a block is for what needs a key or another system.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from pydantic import TypeAdapter

import realtape
import run
from mockserver.calls.script_file import read_script
from mockserver.dialects.openai.client_events import EVENTS as OPENAI_EVENTS
from mockserver.dialects.xai.client_events import EVENTS as XAI_EVENTS
from mockserver.faults.files import parse as parse_faults
from mockserver.protocol.limits import Limits
from mockserver.responders.scenario import Scenario
from mockserver.server.addresses import environment
from mockserver.testing.mock_server import MockServer

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
BESIDE = [
    ROOT / "CHANGELOG.md",
    *(
        ROOT / folder / "README.md"
        for folder in ("bench", "cassettes", "examples/agents", "examples/ci", "examples/node")
    ),
]
"""Pages whose programs and commands are not checked, but whose links and words are."""
BLOCK = re.compile(r"(?ms)(?:<!-- no-run:(?P<reason>.*?)-->\s*)?^```(?P<kind>\w+)\n(?P<text>.*?)^```")
LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)|(?:src|href)=\"(?!\w+:)([^\"]+)\"")
NAMED_FILE = re.compile(  # realtape.toml is a file of users
    r"`((?:mockserver|replay|clinic_agent|realtape|cassettes|docs|tests|bench|examples)/[\w./-]*"
    r"|(?!realtape\.toml)[\w-]+\.toml)`"
)
HEADING = re.compile(r"(?m)^#+ (.+)$")
NAME = re.compile(r"# (\w[\w./-]*\.(?:py|yaml))\b.*\n")
COINED = re.compile(
    r"\b(?:anew|alike|for ever|shall|(?:is|are|was) told|goes with|stands in|held? against|the dearer|turns by hand)\b"
)
"""Words of which a reader has to guess the meaning; see the style sheet in CONTRIBUTING.md."""


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    kind: str
    text: str
    reason: str | None
    """Why it is not run; None means that it is."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        source = page.read_text(encoding="utf-8")
        for found in BLOCK.finditer(source):
            line = source.count("\n", 0, found.start("text")) + 1
            yield Block(page.relative_to(ROOT).as_posix(), line, found["kind"], found["text"], found["reason"])


BLOCKS = list(blocks())
PROGRAMS = [block for block in BLOCKS if block.kind == "python" and block.reason is None]
COMMANDS = [
    pytest.param(line.removeprefix("$ "), id=f"{block}: {line}")
    for block in BLOCKS
    if block.kind in ("console", "sh") and block.reason is None
    for line in block.text.splitlines()
    if re.match(r"(\$ )?(realtape|python run\.py)\b", line)
]


def run_program(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """Write the files of the block's page, and run the block as a file, as a reader would."""
    for each in BLOCKS:
        if each.page == block.page and (named := NAME.match(each.text)):
            folder.joinpath(named[1]).parent.mkdir(parents=True, exist_ok=True)
            folder.joinpath(named[1]).write_text(each.text, encoding="utf-8")
    is_test = re.search(r"(?m)^(?:async )?def test_", block.text) is not None
    named = NAME.match(block.text)
    file = folder / (named[1] if named else "test_block.py" if is_test else "block.py")
    file.write_text(block.text, encoding="utf-8")
    command = [sys.executable, *(["-m", "pytest", "-q", "-p", "no:cacheprovider"] if is_test else []), file.name]
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60
    )


def check_command(line: str) -> str | None:
    """What is wrong with a command line of the docs; None if nothing is."""
    words = [word for word in shlex.split(line, comments=True) if word != "&"]
    ends = [words.index(each) for each in ("--", "|") if each in words]  # what follows is another program's
    arguments = words[1 : min(ends, default=None)]
    if words[0] == "python":
        program = run.plan(words[2:])[1]
        if program[:2] != ["-m", "realtape"]:
            return None
        arguments = program[2:]
    assert isinstance(realtape.main, click.Command)
    result = CliRunner().invoke(realtape.main, [*arguments, "--help"])
    return None if result.exit_code == 0 else result.output


@pytest.mark.slow
@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_the_python_of_the_docs_runs(block: Block, tmp_path: Path):
    if (ROOT / "cassettes").exists():
        shutil.copytree(ROOT / "cassettes", tmp_path / "cassettes")
    done = run_program(block, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_docs_exist_with_their_options(line: str):
    assert check_command(line) is None


@pytest.mark.parametrize("line", ["realtape sevre", "realtape serve --prot 1", "python run.py serve --prot 1"])
def test_a_misspelt_command_would_be_noticed(line: str):
    assert "No such" in (check_command(line) or "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["1 / 0\n", "import asyncio\nawait asyncio.sleep(0)\n", "def test_it():\n    assert 0\n"]
)
def test_a_failing_program_would_be_noticed(text: str, tmp_path: Path):
    assert run_program(Block("page", 1, "python", text, None), tmp_path).returncode != 0


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.kind == "yaml"], ids=str)
def test_the_yaml_of_the_docs_is_read(block: Block, tmp_path: Path):
    if block.text.startswith("script:"):
        (tmp_path / "caller.yaml").write_text(block.text, encoding="utf-8")
        assert read_script(tmp_path / "caller.yaml")
    elif re.search(r"(?m)^faults:", block.text):
        assert parse_faults(block.text).faults
    elif "scrape_configs" in block.text:
        assert set(yaml.safe_load(block.text)["scrape_configs"][0]) == {"job_name", "metrics_path", "static_configs"}
    elif block.page not in ("docs/scenarios.md", "docs/limits.md", "docs/testing.md"):  # these have tests of their own
        Scenario.parse(block.text)


def test_a_block_that_is_not_run_says_why():
    assert [str(block) for block in BLOCKS if block.reason is not None and not block.reason.strip()] == []


def test_the_readme_has_programs_and_commands_to_check():
    kinds = {block.kind for block in BLOCKS if block.page == "README.md" and block.reason is None}
    assert {"python", "console"} <= kinds


def anchors(page: Path) -> set[str]:
    """The fragments by which a page's headings can be linked to, as GitHub makes them."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def is_broken(page: Path, link: str) -> bool:
    path, _, fragment = link.partition("#")
    target = page.parent / path if path else page
    return not target.exists() or (fragment != "" and fragment not in anchors(target))


@pytest.mark.parametrize("page", [*PAGES, *BESIDE], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_and_headings_that_a_page_points_to_are_there(page: Path):
    text = page.read_text(encoding="utf-8")
    links = [first or second for first, second in LINK.findall(text)]
    assert [link for link in links if is_broken(page, link)] == []
    assert [path for path in NAMED_FILE.findall(text) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, *BESIDE], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_is_in_plain_words(page: Path):
    text = re.sub(
        r"(?ms)^```.*?^```|^9\. No \".*?$", "", page.read_text(encoding="utf-8")
    )  # the rule itself names them
    assert COINED.findall(text) == []


def sentences(page: Path) -> Iterator[str]:
    """The sentences of a page's paragraphs and lists. A colon ends one; tables, headings and code have none."""
    text = re.sub(r"(?ms)^```.*?^```", "\n\n", page.read_text(encoding="utf-8"))
    text = re.sub(r"(?m)^(?:\||#|    ).*$", "\n", re.sub(r"\]\([^)]*\)", "]", text))
    for part in re.split(r"\n\s*\n|\n(?=- |\d\. )", text):
        yield from re.split(r"(?<=[.:!?])(?:\*\*)?\s+", " ".join(part.split()))


@pytest.mark.parametrize(
    "page",
    [page for page in (*PAGES, *BESIDE) if page.name != "fidelity.md"],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_no_sentence_is_too_long_to_be_read_once(page: Path):
    summary = "local mock server for the xAI"  # one sentence, wherever it stands
    assert [each for each in sentences(page) if len(each.split()) > 25 and summary not in each] == []


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_a_page_begins_with_a_sentence_and_ends_with_where_to_go(page: Path):
    title, lead, *_, last = page.read_text(encoding="utf-8").split("\n\n")
    assert title.startswith("# ") and lead.endswith((".", ":"))
    assert lead.startswith("For ") or page == ROOT / "docs" / "README.md"  # who needs the page
    if page.name not in ("README.md", "fidelity.md"):
        assert "\n## See also\n" in page.read_text(encoding="utf-8") and LINK.search(last)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_the_index_lists_every_page(page: Path):
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert page.name == "README.md" or f"]({page.name})" in index


def reference(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def commands(group: click.Command, name: str = "realtape") -> Iterator[str]:
    if isinstance(group, click.Group):
        with click.Context(group) as context:
            for each in group.list_commands(context):
                found = group.get_command(context, each)
                assert found is not None
                yield from commands(found, f"{name} {each}")
    else:
        yield name


def test_the_reference_has_every_command():
    assert isinstance(realtape.main, click.Command)
    assert [name for name in commands(realtape.main) if f"| `{name}` |" not in reference("cli.md")] == []


def test_the_reference_has_every_name_and_option_of_the_python_interface():
    page = reference("python.md")
    options = inspect.signature(MockServer).parameters
    assert [name for name in (*dir(realtape), *options) if f"`{name}`" not in page] == []
    shown = {name for name in vars(MockServer) if not name.startswith("_")}
    assert [name for name in shown if f"`{name}`" not in page and f"`{name}(" not in page] == []


def test_the_reference_has_every_variable_that_is_read_or_set():
    source = "".join(
        file.read_text(encoding="utf-8")
        for folder in ("mockserver", "replay", "clinic_agent", "realtape", "run.py")
        for file in ([ROOT / folder] if folder.endswith(".py") else (ROOT / folder).rglob("*.py"))
    )
    named = {*re.findall(r"\"((?:REALTAPE|CLINIC|XAI|OPENAI)_[A-Z_]+)\"", source), *environment("", "", "")}
    dialects = {name for name in named if re.fullmatch(r"(?:XAI|OPENAI)_\d.*", name)}
    assert [name for name in sorted(named - dialects) if f"`{name}`" not in reference("environment.md")] == []


@pytest.mark.parametrize(("column", "events"), [(1, XAI_EVENTS), (2, OPENAI_EVENTS)], ids=["xai", "openai"])
def test_the_page_on_dialects_has_every_client_event(column: int, events: TypeAdapter[object]):
    page = (ROOT / "docs" / "dialects.md").read_text(encoding="utf-8")
    table = page.split("## Client events")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    known = set(events.json_schema()["discriminator"]["mapping"])
    refused = {name for name in known if name.startswith("session.") and name != "session.update"}
    assert {row[0].strip("`") for row in rows if row[column].startswith("yes")} == known - refused
    assert [name for name in refused if f"`{name}`" not in table] == []


def test_the_page_on_limits_has_every_limit():
    page = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    assert [each.name for each in dataclasses.fields(Limits) if f"| `{each.name}` |" not in page] == []


def test_the_moving_picture_is_drawn_of_its_recording():
    folder = ROOT / "docs" / "images"
    found = spec_from_file_location("terminal", folder / "terminal.py")
    assert found is not None and found.loader is not None
    terminal = module_from_spec(found)
    found.loader.exec_module(terminal)
    cast, picture = ((folder / f"serve.{kind}").read_text(encoding="utf-8") for kind in ("cast", "svg"))
    assert terminal.draw(cast) == picture and len(picture) < 20_000
    shown = "".join(text for _, row in terminal.rows(cast) for _, text in row)
    assert shown.startswith(f"$ {terminal.COMMAND}ready ws://") and "tool-result-unanswered" in shown
    assert str(ROOT) not in cast and "prefers-color-scheme:dark" in picture and "prefers-reduced-motion" in picture


def test_readme_project_and_command_say_the_same():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split("\n\n")[1].split())
    summary = re.findall(r'(?m)^description = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert [text] == summary
    assert " ".join((realtape.main.help or "").split()).startswith(text)


def test_a_client_is_pointed_at_the_mock_on_the_first_screen():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:20]
    assert "$ realtape serve" in lines and any("ws://127.0.0.1:8765/v1/realtime" in line for line in lines)


def test_the_line_of_each_client_in_the_readme_is_that_of_its_page():
    rows = re.findall(
        r"(?m)^\| \[.*\]\((docs/clients/\S+)\) \| `(.*?)`", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    here = {"http://127.0.0.1:8765/v1": "mock.http_url", "ws://127.0.0.1:8765/v1/realtime": "mock.ws_url"}
    names = {f'"{text}"': name for text, name in {**here, "anything": "mock.api_key"}.items()}
    assert len(rows) == 4
    for page, line in rows:
        python = re.sub("|".join(names), lambda found: names[found[0]], line)
        text = (ROOT / page).read_text(encoding="utf-8")
        assert line in text or python.removesuffix(")") in text, page


@pytest.mark.filterwarnings(
    "ignore:connect\\(\\) must be used:DeprecationWarning"
)  # the client's own use of websockets
def test_the_variable_of_the_first_screen_points_openai_s_client_at_the_mock(monkeypatch: pytest.MonkeyPatch):
    openai = pytest.importorskip("openai")
    with MockServer(dialect="openai") as mock:
        monkeypatch.setenv("OPENAI_BASE_URL", mock.http_url)
        monkeypatch.setenv("OPENAI_API_KEY", mock.api_key)
        with openai.OpenAI() as client, client.realtime.connect(model="gpt-realtime") as connection:
            assert connection.recv().type == "session.created"


class _Nav(yaml.SafeLoader):
    """Reads mkdocs.yml without the Python objects that its extensions name."""


_Nav.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def in_nav(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, list | dict):
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from in_nav(each)


def test_the_site_has_every_page_once():
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in sorted((ROOT / "docs").rglob("*.md"))]
    made = ["reference/api.md", "reference/commands.md"]  # by tools/site.py
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), _Nav)["nav"]
    listed = [page for page in in_nav(nav) if not page.startswith("project/")]
    assert sorted(listed) == sorted([*pages, *made])
