"""Which interpreters `make test-all` runs the tests on: one of each version, and the system's own."""

import os
import pathlib
import shutil
import subprocess
import sys

import attrs
import pytest

SCRIPT = pathlib.Path(__file__).parent.parent / ".ci" / "pythons"
INTERPRETER = """#!/bin/sh
[ "$1" = --version ] && {{ echo "Python {version}"; exit; }}
exec {real} -c "import sys; sys.version_info = ({tuple}); sys._base_executable = '{path}'
for name in {lacks}: sys.modules[name] = None
$2"
"""


@attrs.define(eq=False)
class Machine:
    """A folder of programs, all that there are, and a checkout in which to run the script."""

    root: pathlib.Path
    path: pathlib.Path = attrs.field(init=False)
    log: pathlib.Path = attrs.field(init=False)

    def __attrs_post_init__(self):
        """Set up the folders, with what the script needs."""
        self.path, self.log = self.root / "bin", self.root / "log"
        (self.root / "checkout/.ci").mkdir(parents=True)
        shutil.copy(SCRIPT, self.root / "checkout/.ci/pythons")
        self.path.mkdir()
        for tool in ("dirname", "grep", "sort"):
            (self.path / tool).symlink_to(shutil.which(tool))
        # What fails is said by the name of its .venv.
        self.program("make", f'#!/bin/sh\necho "$*" >> {self.log}\ncase "$*" in *"$FAILING") exit 1;; esac\n')

    def program(self, name, text):
        """Put a program there."""
        file = self.root / name if "/" in name else self.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        return str(file)

    def python(self, name, version, lacks=()):
        """Put an interpreter there, which says that it is of a version, and may lack modules."""
        file = self.root / name if "/" in name else self.path / name
        numbers = version.replace(".", ", ")
        text = INTERPRETER.format(version=version, real=sys.executable, tuple=numbers, path=file, lacks=list(lacks))
        return self.program(name, text)

    def run(self, **variables):
        """Run the script; return whether it is content, what was run, by the names of the .venvs, and what it says."""
        env = {"PATH": str(self.path), "FAILING": "nothing", "SYSTEM_PYTHON": "/nowhere/python3"} | variables
        command = [shutil.which("bash"), str(self.root / "checkout/.ci/pythons")]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        pairs = [dict(word.partition("=")[::2] for word in line.split() if "=" in word) for line in lines]
        return done.returncode == 0, {pair["VENV"]: pair["PYTHON"] for pair in pairs}, done.stdout + done.stderr


@pytest.fixture
def machine(tmp_path):
    """Set up a machine without a Python."""
    return Machine(tmp_path)


def test_the_systems_python_is_one_more_though_its_version_has_been_run(machine):
    """A distribution's 3.11.2 is not another 3.11.7."""
    other, system = machine.python("python3.11", "3.11.7"), machine.python("usr/python3", "3.11.2")
    content, ran, _ = machine.run(SYSTEM_PYTHON=system)
    assert content
    assert ran == {".venv-3.11": other, ".venv-system": system}


@pytest.mark.parametrize("link", [True, False])
def test_it_is_not_run_twice(machine, link):
    """By whatever name it was found: a link is followed, and a shim says what it leads to."""
    system = machine.python("usr/python3", "3.12.3")
    if link:
        (machine.path / "python3.12").symlink_to(system)
    else:
        (machine.path / "python3.12").write_text(f'#!/bin/sh\nexec {system} "$@"\n')
        (machine.path / "python3.12").chmod(0o755)
    content, ran, said = machine.run(SYSTEM_PYTHON=system)
    assert content
    assert list(ran) == [".venv-3.12"]
    assert "has run the tests already" in said


def test_what_has_run_before_is_not_run_again(machine):
    """As CI does, which has run them on one already; if there is no other one, that is enough."""
    system = machine.python("usr/python3", "3.11.2")
    content, ran, _ = machine.run(SYSTEM_PYTHON=system, DONE=os.path.realpath(system), VERSIONS="3.12 3.13")
    assert (content, ran) == (True, {})
    other = machine.python("python3.13", "3.13.1")
    content, ran, _ = machine.run(SYSTEM_PYTHON=system, DONE="/elsewhere/python3.11", VERSIONS="3.12 3.13")
    assert (content, ran) == (True, {".venv-3.13": other, ".venv-system": system})


@pytest.mark.parametrize("version", ["3.9.2", "3.10.13"])
def test_one_that_is_too_old_is_left_out(machine, version):
    """And said to be."""
    other, system = machine.python("python3.11", "3.11.7"), machine.python("usr/python3", version)
    content, ran, said = machine.run(SYSTEM_PYTHON=system)
    assert (content, ran) == (True, {".venv-3.11": other})
    assert "older than 3.11" in said


@pytest.mark.parametrize("version", ["3.14.0", "3.12.3"])
def test_one_of_a_version_that_nobody_else_has_is_run(machine, version):
    """Later ones too."""
    system = machine.python("usr/python3", version)
    content, ran, _ = machine.run(SYSTEM_PYTHON=system)
    assert (content, ran) == (True, {".venv-system": system})


@pytest.mark.parametrize("lacks", ["ensurepip", "venv"])
@pytest.mark.parametrize("ci", [True, False])
def test_one_that_can_make_no_environment_is_said_to(machine, lacks, ci):
    """It is left out, with what to install; CI has tried to, so that there it is a failure."""
    machine.python("python3.11", "3.11.7")
    system = machine.python("usr/python3", "3.11.2", lacks=[lacks])
    content, ran, said = machine.run(SYSTEM_PYTHON=system, **({"SCRAPEENGINE_CI": "1"} if ci else {}))
    assert content is not ci
    assert list(ran) == [".venv-3.11"]
    assert "apt-get install python3-venv" in said


def test_a_machine_without_one_is_content_with_others(machine):
    """And one without any Python is not."""
    assert not machine.run()[0]
    machine.python("python3.11", "3.11.7")
    content, ran, said = machine.run()
    assert (content, list(ran)) == (True, [".venv-3.11"])
    assert "is not there" in said


@pytest.mark.parametrize("failing", ["3.11", "system"])
def test_one_failure_is_a_failure(machine, failing):
    """Whichever it is; the others are run all the same."""
    machine.python("python3.11", "3.11.7")
    system = machine.python("usr/python3", "3.11.2")
    content, ran, said = machine.run(SYSTEM_PYTHON=system, FAILING=f".venv-{failing}")
    assert not content
    assert list(ran) == [".venv-3.11", ".venv-system"]
    assert f"failed: {failing};" in said
