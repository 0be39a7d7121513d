"""The house: which way imports go, what is exported, and that the README's program runs as printed."""

import ast
import inspect
import pathlib
import re
import subprocess
import sys

import pytest

import scrapeengine as se
from scrapeengine import stores

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = pathlib.Path(se.__file__).parent

LAYERS = {
    # layer: what it may import of ours, and of others
    "errors": (set(), {"httpx"}),
    "model": ({"errors", "model"}, {"attrs", "httpx", "can_ada"}),
    "decide": ({"errors", "model", "decide"}, {"attrs"}),
    "observe": ({"errors", "model", "decide", "observe"}, {"attrs", "structlog", "logging"}),
    "http": (
        {"errors", "model", "decide", "http"},
        {"attrs", "httpx", "trio", "httptools", "protego", "brotli", "backports", "compression", "publicsuffixlist"},
    ),
    "schedule": ({"errors", "model", "decide", "schedule"}, {"attrs", "trio"}),
    "tasks": ({"errors", "model", "decide", "observe", "schedule", "tasks"}, {"attrs", "httpx", "trio"}),
    "deliver": ({"model", "schedule", "deliver"}, {"attrs", "trio"}),
    "run": ({"errors", "model", "decide", "observe", "schedule", "tasks", "deliver", "run"}, {"attrs", "trio"}),
    "served": (
        {"errors", "model", "decide", "observe", "schedule", "tasks", "deliver", "run", "served"},
        {"attrs", "trio"},
    ),
    "stores": ({"errors", "model", "decide", "stores"}, {"attrs", "trio", "apsw"}),
    "testing": ({"errors", "model", "decide", "stores", "testing"}, {"attrs", "trio", "hypothesis", "pytest"}),
    "engine": (
        {"errors", "model", "decide", "http", "schedule", "deliver", "run", "served"},
        {"attrs", "trio"},
    ),
    "sync": ({"engine", "model", "tasks", "deliver", "run"}, {"trio"}),
    "__init__": ({"engine", "errors", "http", "model", "run", "stores", "sync"}, set()),
}
"""`httpx` is imported by `errors`, `model` and `tasks` for its types only."""

ROOMS = {
    "http": ["transport", "wire", "features", "client"],
    "stores": [
        *("clock", "moment", "policy", "rules", "backend", "calls"),
        *("memory", "sqlite", "checked", "opening"),
    ],
    "testing": ["site", "stores"],
}
"""The rooms within a layer, in the order in which they may know each other."""

IMPURE = {"trio", "httpx", "structlog", "sqlite3", "time", "random", "os", "socket", "threading", "asyncio"}


def modules():
    """List the modules with their names and trees."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts), ast.parse(path.read_text())


def imports(tree):
    """List what a module imports, typing-only imports included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}


def test_imports_go_one_way():
    """Each layer imports the layers below it and its own libraries, and nothing else."""
    standard = sys.stdlib_module_names
    for name, tree in modules():
        ours, others = LAYERS[name.partition(".")[0]]
        for target in imports(tree):
            top, _, rest = target.partition(".")
            if top == "scrapeengine":
                layer = rest.partition(".")[0]
                assert not layer or layer in ours, f"{name} imports {target}"
            else:
                assert top in others or top in standard, f"{name} imports {target}"


def test_imports_go_one_way_within_a_layer():
    """A room sees itself and those before it; what a folder's backends have in common knows none of them."""
    for name, tree in modules():
        layer, _, rest = name.partition(".")
        if layer not in ROOMS or rest == "__init__":
            continue
        order = ROOMS[layer]
        room = rest.partition(".")[0]
        for target in imports(tree):
            if target.startswith(f"scrapeengine.{layer}."):
                other = target.split(".")[2]
                assert order.index(other) <= order.index(room), f"{name} imports {target}"
                assert {room, other} != {"memory", "sqlite"}, f"{name} imports {target}"


def test_the_transport_knows_nothing_of_what_is_around_it():
    """It could be a library of its own: of ours it sees checks of arguments only."""
    for name, tree in modules():
        if name.startswith("http.transport."):
            ours = {target for target in imports(tree) if target.startswith("scrapeengine.")}
            assert {".".join(target.split(".")[1:3]) for target in ours} <= {"http.transport", "model.checks"}, name


def test_decisions_are_pure():
    """`decide` imports no clock, no randomness, no I/O; time and randomness are arguments."""
    for name, tree in modules():
        if name.startswith("decide."):
            assert not IMPURE.intersection(target.partition(".")[0] for target in imports(tree)), name


def test_there_is_no_cycle():
    """No module imports itself by way of others, for typing or otherwise."""
    graph = {}
    for name, tree in modules():
        found = (target.removeprefix("scrapeengine.") for target in imports(tree) if target.startswith("scrapeengine."))
        graph[name] = set(found)
    graph = {name: {target for target in targets if target in graph} for name, targets in graph.items()}
    while graph:
        leaves = {name for name, targets in graph.items() if not targets & graph.keys()}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {name: targets for name, targets in graph.items() if name not in leaves}


def test_nothing_is_imported_inside_a_function():
    """Imports stand at the top of their modules."""
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert not list(imports(node)), f"{name}.{node.name}"


def test_the_public_names_are_those_that_are_listed():
    """`__all__` is sorted and complete; each name is there and documented."""
    assert sorted(se.__all__) == list(se.__all__)
    public = {name for name, value in vars(se).items() if not name.startswith("_") and not isinstance(value, type(sys))}
    assert public == set(se.__all__)
    for name in se.__all__:
        if name != "Outcome":
            assert getattr(se, name).__doc__, name


def test_the_names_of_the_stores_are_those_that_are_listed():
    """The package of stores has all that its protocol speaks of, sorted and documented, and exports nothing else."""
    assert sorted(stores.__all__) == list(stores.__all__)
    public = {name for name, value in vars(stores).items() if name[0] != "_" and not isinstance(value, type(sys))}
    assert public == set(stores.__all__)
    words = set()
    for call in vars(stores.Store).values():
        if inspect.isfunction(call):
            words.update(*(re.findall(r"\b[A-Z]\w+", str(hint)) for hint in call.__annotations__.values()))
    assert words - {"Sequence", "Mapping", "Collection", "None"} <= public
    for name in stores.__all__:
        if name != "Content":
            assert getattr(stores, name).__doc__, name


def test_testing_needs_neither_pytest_nor_hypothesis():
    """They are for the tests of stores alone, which say what to install."""
    program = """if True:
        import sys
        sys.modules |= {"pytest": None, "hypothesis": None}
        import scrapeengine, scrapeengine.testing
        assert scrapeengine.testing.Site
        try:
            from scrapeengine.testing.stores import StoreSuite
        except ImportError as error:
            print(error)
    """
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("pip install 'scrapeengine[testing]'\n")


def in_their_order(name):
    """Constants come first, then classes, then functions."""
    return not name.isupper(), not name[0].isupper(), name


def test_every_module_says_what_it_exports():
    """Each module but the packages' own has an `__all__` with names that exist in it."""
    for name, tree in modules():
        if name.endswith("__init__"):
            continue
        defined = {
            node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        }
        targets = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
        targets += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
        defined |= {target.id for target in targets if isinstance(target, ast.Name)}
        exported = next(
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "__all__"
        )
        assert set(exported) <= defined, name
        assert list(exported) == sorted(exported, key=in_their_order), name


def test_the_readmes_program_runs_as_printed(tmp_path):
    """The first program of the README has at most ten lines, and prints what stands below it."""
    readme = (ROOT / "README.md").read_text()
    program = re.search(r"```python\n(.*?)```", readme, re.DOTALL).group(1)
    expected = re.search(r"```text\n(.*?)```", readme, re.DOTALL).group(1)
    assert len([line for line in program.splitlines() if line.strip()]) <= 10
    file = tmp_path / "program.py"
    file.write_text(program)
    result = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == expected


def test_the_readme_names_the_two_commands_on_its_first_screen():
    """`make demo` and `make test` stand within the first forty lines."""
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])
    assert "make demo" in screen
    assert "make test" in screen


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "docs/design.md"])
def test_the_pages_are_there(page):
    """What the house promises to keep true exists, and is more than a title."""
    assert len((ROOT / page).read_text()) > 500


def test_the_readme_s_promises_are_those_that_were_measured():
    """`make bench` writes both; a table that was changed by hand says what nobody measured."""
    results, readme = ((ROOT / name).read_text("utf-8") for name in ("benchmarks/RESULTS.md", "README.md"))
    measured = rows(results.partition("<!-- http -->")[0])
    assert len(measured) > 20
    assert rows(readme.partition("<!-- promises -->")[2].partition("<!-- end of promises -->")[0]) == measured


def rows(text):
    """List the lines of tables."""
    return [line for line in text.splitlines() if line.startswith("|")]


def test_what_was_measured_is_measured_by_every_part():
    """Each has a section, which says when and on what."""
    results = (ROOT / "benchmarks/RESULTS.md").read_text("utf-8")
    for part in ("http", "engine", "workloads", "stopping", "store", "polling", "profile"):
        section = results.partition(f"<!-- {part} -->\n")[2].partition(f"<!-- end of {part} -->")[0]
        assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d UTC; .*Python 3\.\d+\.\d+; scrapeengine ", section, re.MULTILINE)
