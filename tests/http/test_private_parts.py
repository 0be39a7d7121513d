"""Private parts of other libraries that are used: which, where, and that they are what they were when it was tried."""

import ast
import pathlib
import re

import httpx
import pytest
import trio

import scrapeengine as se

PACKAGE = pathlib.Path(se.__file__).parent
TRIED = {"httpx": "0.28.1", "trio": "0.35.0"}
DOORS = {
    # the one place for each; tests/runtime/test_workers.py tries those of the workers
    ("http/wire/answers.py", "_content"),
    ("tasks/workers.py", "_cancel_status"),
    ("tasks/workers.py", "_child_nurseries"),
    ("tasks/workers.py", "_schedule_points"),
}


def said(library, part, door):
    """Say what to do when a private part is no more what it was."""
    version = {"httpx": httpx, "trio": trio}[library].__version__
    return f"{library} {version} has another {part} than {TRIED[library]}, on which {door} was tried: mend it there"


def private(tree):
    """List what is private and is looked up on, or set at, something else than `self` and `cls`."""
    for node in ast.walk(tree):
        found = isinstance(node, ast.Attribute) and re.match("_(?!_)", node.attr)
        if found and ast.unparse(node.value) not in {"self", "cls"}:
            yield node.attr


def ours(tree):
    """List the private names that our own classes define."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id
                elif isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                    yield target.attr


def test_each_has_one_door():
    """What is not listed is not used."""
    trees = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    known = {name for tree in trees.values() for name in ours(tree)}
    assert {(file, name) for file, tree in trees.items() for name in private(tree) if name not in known} == DOORS


def test_httpx_keeps_what_was_read_of_a_body_where_we_put_it():
    """So the content of our answers is there without being decoded once more."""
    response = httpx.Response(200, content=b"body")
    assert vars(response).get("_content") == b"body", said("httpx", "Response._content", "http/wire/answers.py")


@pytest.mark.parametrize("kept", ["_content", "_cookies"])
def test_httpx_pickles_what_we_add_to_and_take_from(kept):
    """The cookies hold a lock, and are left out of what is pickled; the content is in it."""
    response = httpx.Response(200, content=b"body", request=httpx.Request("GET", "http://a.test/"))
    assert not response.cookies
    assert kept in response.__getstate__(), said("httpx", f"Response.{kept}", "http/wire/answers.py")
