"""No import circle, not under TYPE_CHECKING and not in a function; and hardly an import in a function at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("mockserver", "replay", "clinic_agent", "realtape")

LAZY: Mapping[str, set[str]] = {
    "clinic_agent.app": {"clinic_agent.app.server"},  # the extra `app`
    "clinic_agent.call.microphone": {"sounddevice"},  # the extra `mic`
    "clinic_agent.cli": {"clinic_agent.app.server"},  # the extra `app`
    "clinic_agent.config": {"dotenv"},  # the extra `app`
    "clinic_agent.call.tracing": {  # the extra `otel`
        "opentelemetry",
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.sdk.resources",
        "opentelemetry.sdk.trace",
        "opentelemetry.sdk.trace.export",
    },
    "mockserver.server.control": {"mockserver.server.metrics_page"},  # prometheus-client costs 30 ms
    "mockserver.server.equipment": {"mockserver.server.mcp_client"},  # the extra `mcp`
    "mockserver.testing.pytest_artifacts": {"pytest_html"},  # another plugin
    "mockserver.testing.pytest_plugin": {"mockserver.testing.pytest_fixture"},  # the boundary of the plugin
    "mockserver.responders.captures.utterance": {"text_to_num"},  # costs 10 ms, and only some scenarios capture
    "mockserver.cli.check": {  # the boundary: a tape is checked without them
        "mockserver.cli.document_check",
        "replay.cli.against",
    },
    "mockserver.cli.serve": {
        "mockserver.cli.assembly",  # the boundary: everything that only sessions need
        "mockserver.cli.played",  # recordings, and all that reads them
        "uvloop",  # not on every platform
    },
    "mockserver.cli.assembly": {
        "mockserver.server.state.store",  # the extra `fleet`
        "mockserver.server.worker_counts",  # prometheus-client costs 30 ms
    },
    "mockserver.cli.secure": {"mockserver.server.certificates"},  # the extra `tls`
    "mockserver.cli.workers": {"ctypes"},  # slow to load, and only a store of one's own needs it
    "realtape.clinic_phone": {"realtape.clinic_rehearsal"},  # the extra `app`
    "replay.cli.inspect": {"replay.cli.pages"},  # the viewer, which a list does not need
    "replay.tracing.setup": {  # the extra `otel`
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.sdk.resources",
        "opentelemetry.sdk.trace",
        "opentelemetry.sdk.trace.export",
        "replay.tracing.spans",
    },
    "replay.version": {"importlib.metadata", "urllib.request"},  # cost 20 ms, and most commands ask for no version
    "replay.findings.input_audio": {"replay.findings.speed"},  # loads numpy, and only sound needs it
    "replay.report.picture": {"PIL"},  # the extra `picture`
}
"""What may be imported in a function, by importing module."""


def modules(root: Path) -> dict[str, Path]:
    """The file of each module of the project, by dotted name."""
    found = {}
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(statement: ast.Import | ast.ImportFrom, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules that a statement imports. The submodule, where `from package import name` names one."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    assert statement.level == 0 and statement.module is not None, "relative imports are not used here"
    for alias in statement.names:
        submodule = f"{statement.module}.{alias.name}"
        yield submodule if submodule in known else statement.module


def imports(tree: ast.AST, in_function: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement, and whether it stands in a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, in_function
        yield from imports(node, in_function or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


KNOWN = modules(ROOT)


@cache
def trees() -> dict[str, ast.Module]:
    """The text of each module, parsed."""
    return {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in KNOWN.items()}


def graph(parsed: Mapping[str, ast.AST], known: Mapping[str, Path]) -> dict[str, list[str]]:
    """Module -> the project's modules it imports, anywhere in its text; each once, by name."""
    found = {}
    for module, tree in parsed.items():
        names = {name for statement, _ in imports(tree) for name in imported(statement, known)}
        found[module] = sorted(name for name in names if name in known and name != module)
    return found


def circles(arrows: Mapping[str, list[str]]) -> list[list[str]]:
    """Circles, one at a time: each is cut at its last arrow before the next is looked for. Empty if there is none."""
    left = {module: list(targets) for module, targets in arrows.items()}
    found = []
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            left[circle[0]].remove(circle[1])
            found.append(circle)
        else:
            return found


def in_functions(parsed: Mapping[str, ast.AST], known: Mapping[str, Path]) -> dict[str, list[str]]:
    """Module -> what it imports in functions and is not in LAZY."""
    found: dict[str, list[str]] = {}
    for module, tree in parsed.items():
        for statement, lazy in imports(tree):
            if lazy:
                names = [name for name in imported(statement, known) if name not in LAZY.get(module, set())]
                found.setdefault(module, []).extend(names[:1])
    return {module: names for module, names in found.items() if names}


@pytest.mark.slow
def test_no_module_imports_itself_over_others():
    found = circles(graph(trees(), KNOWN))
    assert found == [], "\n".join(" -> ".join(circle) for circle in found)


def test_functions_import_only_what_is_optional():
    assert in_functions(trees(), KNOWN) == {}


def test_what_may_be_imported_in_a_function_still_is():
    lazy = {
        (module, name)
        for module, tree in trees().items()
        for statement, in_function in imports(tree)
        if in_function
        for name in imported(statement, KNOWN)
    }
    assert {(module, name) for module, names in LAZY.items() for name in names} - lazy == set()


@pytest.mark.parametrize(
    "back",
    [
        "import b",
        "from b import x",
        "if TYPE_CHECKING:\n    from b import x",
        "def f():\n    from b import x",
        "class C:\n    async def f(self):\n        import b",
    ],
)
def test_a_circle_is_found_wherever_its_import_stands(back: str):
    texts = {"a": back, "b": "import c", "c": "from a import f"}
    known = dict.fromkeys(texts, Path())
    (circle,) = circles(graph({module: ast.parse(text) for module, text in texts.items()}, known))
    assert set(circle) == {"a", "b", "c"}
