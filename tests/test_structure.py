"""The house: which way imports go, how large its rooms are, what is exported; and that the pages tell the truth."""

import ast
import functools
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
    "uninterrupted": (set(), {"trio"}),
    "model": ({"errors", "model"}, {"attrs", "httpx", "can_ada"}),
    "decide": ({"errors", "model", "decide"}, {"attrs"}),
    "observe": (
        {"uninterrupted", "errors", "model", "decide", "observe"},
        {"attrs", "structlog", "logging", "trio", "h11", "prometheus_client", "opentelemetry"},
    ),
    "http": (
        {"errors", "model", "decide", "observe", "http"},
        {"attrs", "httpx", "trio", "httptools", "protego", "brotli", "backports", "compression", "publicsuffixlist"},
    ),
    "schedule": ({"uninterrupted", "errors", "model", "decide", "observe", "schedule"}, {"attrs", "trio"}),
    "tasks": ({"errors", "model", "decide", "observe", "schedule", "tasks"}, {"attrs", "httpx", "trio"}),
    "standstill": (set(), {"trio"}),
    "sinks": (
        {"standstill", "errors", "model", "decide", "sinks"},
        {"attrs", "trio", "compression", "backports", "sqlalchemy"},
    ),
    "deliver": (
        {"uninterrupted", "errors", "model", "decide", "observe", "schedule", "sinks", "deliver"},
        {"attrs", "trio"},
    ),
    "run": (
        {"uninterrupted", "errors", "model", "decide", "observe", "schedule", "tasks", "deliver", "run"},
        {"attrs", "trio"},
    ),
    "served": (
        {"uninterrupted", "errors", "model", "decide", "observe", "schedule", "tasks", "deliver", "run", "served"},
        {"attrs", "trio"},
    ),
    "stores": ({"standstill", "uninterrupted", "errors", "model", "decide", "stores"}, {"attrs", "trio", "apsw"}),
    "testing": ({"errors", "model", "decide", "stores", "testing"}, {"attrs", "trio", "hypothesis", "pytest"}),
    "engine": (
        {"errors", "model", "decide", "observe", "http", "schedule", "deliver", "run", "served"},
        {"attrs", "httpx", "trio"},
    ),
    "sync": ({"engine", "model", "observe", "tasks", "deliver", "run", "served", "stores"}, {"trio"}),
    "cli": ({"__init__", "errors", "model", "observe", "schedule", "sinks", "stores"}, {"attrs", "trio"}),
    "__main__": ({"cli"}, set()),
    "__init__": ({"engine", "errors", "http", "model", "run", "stores", "sync"}, set()),
}
"""`httpx` is imported by `errors`, `model`, `tasks` and `engine` for its types only."""

ROOMS = {
    "http": ["transport", "wire", "features", "client"],
    "stores": [
        *("clock", "moment", "policy", "rules", "backend", "staged", "calls"),
        *("memory", "sqlite", "checked", "opening"),
    ],
    "testing": ["site", "stores"],
}
"""The rooms within a layer, in the order in which they may know each other."""

IMPURE = {"trio", "httpx", "structlog", "sqlite3", "time", "random", "os", "socket", "threading", "asyncio"}


@functools.cache
def modules():
    """List the modules with their names and trees."""
    paths = sorted(PACKAGE.rglob("*.py"))
    names = (".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in paths)
    return [(name, ast.parse(path.read_text())) for name, path in zip(names, paths, strict=True)]


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
    """It could be a library of its own: of ours it sees checks of arguments, and tables of HTTP's standards."""
    for name, tree in modules():
        if name.startswith("http.transport."):
            ours = {target for target in imports(tree) if target.startswith("scrapeengine.")}
            known = {"http.transport", "model.checks", "model.standards"}
            assert {".".join(target.split(".")[1:3]) for target in ours} <= known, name


def test_the_tour_names_each_file_once_and_never_goes_back():
    """Read from its beginning, it needs nothing that comes later to be known before: no import points back."""
    tour = (ROOT / "docs/design.md").read_text("utf-8").partition("\n## A tour\n")[2].partition("\n## ")[0]
    named = [name for name in re.findall(r"`([\w/]+\.py)`", tour) if not name.startswith("tests/")]
    trees = {f"{name.replace('.', '/')}.py": tree for name, tree in modules()}
    own = {file for file in trees if not file.endswith("/__init__.py")}
    assert len(named) == len(set(named))
    assert set(named) == own
    for place, file in enumerate(named):
        before = {name.removesuffix(".py").replace("/", ".") for name in named[:place]} - {"__init__"}
        known = {target.removeprefix("scrapeengine.") for target in imports(trees[file])}
        assert not known & before, f"{file} imports {sorted(known & before)}, which the tour names before it"


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
    for name in se.__all__:
        if name != "Outcome":
            assert getattr(se, name).__doc__, name
    public = {name for name, value in vars(se).items() if not name.startswith("_") and not isinstance(value, type(sys))}
    assert public == set(se.__all__)
    assert public <= set(dir(se))


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


MOST_LINES, MOST_METHODS, MOST_ATTRIBUTES = 200, 15, 10
"""What a class may have that says nothing of its size; 12 methods and 8 attributes is the aim."""


def classes():
    """List all classes with the names of their modules."""
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield name, node


def own_parts(node):
    """Return the names of a class's own methods, properties among them, and of its attributes.

    Attributes are the fields that its body annotates, what any of its methods sets on `self`, and its slots.
    """
    methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    attributes = set()
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and "ClassVar" not in ast.unparse(each.annotation):
            attributes.add(each.target.id)
        elif isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "__slots__":
            attributes.update(name.value for name in ast.walk(each.value) if isinstance(name, ast.Constant))
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store) and ast.unparse(each.value) == "self":
            attributes.add(each.attr)
    return methods, attributes


def parts(node, known):
    """Return the names of methods and attributes of a class, those that it inherits from classes of ours included."""
    methods, attributes = own_parts(node)
    for base in node.bases:
        name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
        if name in known:  # with a dot it is another library's: ours are imported by their names
            more_methods, more_attributes = parts(known[name], known)
            methods, attributes = methods | more_methods, attributes | more_attributes
    return methods, attributes - methods


def test_classes_have_a_size_that_one_can_live_in():
    """Lines, methods and attributes are bounded, but where the docstring has a line `Size:` that says why."""
    known = {node.name: node for _, node in classes()}
    crowded = {}
    for name, node in classes():
        methods, attributes = parts(node, known)
        size = (node.end_lineno - node.lineno + 1, len(methods), len(attributes))
        says_why = re.search(r"^ *Size: +\w", ast.get_docstring(node) or "", re.MULTILINE)
        if not says_why and any(map(int.__gt__, size, (MOST_LINES, MOST_METHODS, MOST_ATTRIBUTES))):
            crowded[f"{name}.{node.name}"] = size
    assert not crowded


def test_who_says_how_large_it_is_has_counted():
    """The numbers of a line `Size:` are those of the class."""
    known = {node.name: node for _, node in classes()}
    untrue = {}
    for name, node in classes():
        methods, attributes = parts(node, known)
        counts = {"methods": len(methods), "attributes": len(attributes), "fields": len(attributes)}
        said = " ".join((ast.get_docstring(node) or "").partition("Size:")[2].split())[:80]
        wrong = [
            each for each in re.findall(r"(\d+) (methods|attributes|fields)", said) if counts[each[1]] != int(each[0])
        ]
        if wrong:
            untrue[f"{name}.{node.name}"] = wrong, counts
    assert not untrue


def test_no_class_name_stands_twice():
    """A name that is read in one file means the same in all others."""
    seen = {}
    for name, node in classes():
        assert node.name not in seen, f"{node.name} in {name} and in {seen[node.name]}"
        seen[node.name] = name


def test_no_module_only_forwards():
    """Each module but the packages' own has something of its own: who looks for a thing finds it in one step."""
    for name, tree in modules():
        if name.endswith("__init__"):
            continue
        own = [
            node
            for node in tree.body
            if not isinstance(node, ast.Import | ast.ImportFrom)
            and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        ]
        assert own, f"{name} only forwards"


def test_the_readmes_program_runs_as_printed(tmp_path):
    """The first program of the README has at most ten lines, and prints what stands below it; its error is logged."""
    readme = (ROOT / "README.md").read_text()
    program = re.search(r"```python\n(.*?)```", readme, re.DOTALL).group(1)
    expected = re.search(r"```text\n(.*?)```", readme, re.DOTALL).group(1)
    assert len([line for line in program.splitlines() if line.strip()]) <= 10
    file = tmp_path / "program.py"
    file.write_text(program)
    result = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (0, expected)
    assert result.stderr.startswith("event='a task has failed' platform='doubler' id='3'")
    assert result.stderr.count("Traceback") == result.stderr.count("\nValueError: three is refused\n") == 1


def test_the_readme_names_the_two_commands_on_its_first_screen():
    """`make demo` and `make test` stand within the first forty lines."""
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])
    assert "make demo" in screen
    assert "make test" in screen


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "docs/design.md", "docs/guide.md", "docs/promises.md"])
def test_the_pages_are_there(page):
    """What the house promises to keep true exists, and is more than a title."""
    assert len((ROOT / page).read_text()) > 500


def test_the_promises_are_those_that_were_measured():
    """`make bench` writes both; a table that was changed by hand says what nobody measured."""
    results, page = ((ROOT / name).read_text("utf-8") for name in ("benchmarks/RESULTS.md", "docs/promises.md"))
    measured = rows(results.partition("<!-- http -->")[0])
    assert len(measured) > 20
    assert rows(page.partition("<!-- promises -->")[2].partition("<!-- end of promises -->")[0]) == measured


def test_the_figures_of_the_readme_are_promised():
    """The README has bounds, which are the table's; what was measured is in the table alone."""
    readme, page = ((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/promises.md"))
    figures = set(re.findall(r"[≥≤] [\d.]+ (?:times|µs|MB)", readme))
    promised = {row.split("|")[2].strip() for row in rows(page)}
    assert len(figures) > 2
    assert figures <= promised


def rows(text):
    """List the lines of tables."""
    return [line for line in text.splitlines() if line.startswith("|")]


def test_what_was_measured_is_measured_by_every_part():
    """Each has a section, which says when and on what."""
    results = (ROOT / "benchmarks/RESULTS.md").read_text("utf-8")
    for part in ("http", "engine", "workloads", "stopping", "store", "polling", "profile"):
        section = results.partition(f"<!-- {part} -->\n")[2].partition(f"<!-- end of {part} -->")[0]
        assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d UTC; .*Python 3\.\d+\.\d+; scrapeengine ", section, re.MULTILINE)
