"""Builds a release into dist/, and tries it where nothing else is installed: `make release-check`.

A release is what is committed: the sdist holds the files of the repository and no others, so that
the tests run from it. The wheel is built from the sdist. It is installed with the newest versions
that it allows, not with those of constraints.txt: that is what somebody gets who has no clone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]
# What building adds to an sdist.
GENERATED = re.compile(r"PKG-INFO|setup\.cfg|jaxparl\.egg-info/.*")
IS_TYPED = """
import importlib.resources
for package in ("jaxparl", "jaxparl.envs"):
    assert importlib.resources.files(package).joinpath("py.typed").is_file(), package
"""
SIZES = ("--depth", "3", "--iterations", "400", "--evaluation-interval", "200")
TRAINING = ("train", "game_tree", *SIZES, "--hidden-sizes", "16", "--seeds", "0:2", "--out", "run")


def sources() -> set[str]:
    """The files that the packages consist of, as they are called in the wheel."""
    folders = {"jaxparl": ROOT / "jaxparl", "jaxparl/envs": ROOT / "envs"}
    return {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in folders.items()
        for path in folder.rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }


def files_of_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def files_of_sdist(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        names = {each.name.partition("/")[2] for each in archive.getmembers() if each.isfile()}
    return {name for name in names if not GENERATED.fullmatch(name)}


def readme_example() -> tuple[str, str]:
    """The Python code of the README, and what it says that it prints."""
    readme = (ROOT / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    (told,) = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    return code, told


def check(holds: bool, complaint: str) -> None:
    if not holds:
        sys.exit(f"error: {complaint}")


def check_same(what: str, found: set[str], expected: set[str]) -> None:
    check(found >= expected, f"{what} lacks {', '.join(sorted(expected - found))}")
    check(found <= expected, f"{what} should not hold {', '.join(sorted(found - expected))}")


def check_classifiers() -> None:
    """twine leaves this to the package index, which refuses what it does not know."""
    from trove_classifiers import classifiers  # of the extra `release`

    unknown = set(PROJECT["classifiers"]) - classifiers
    check(not unknown, f"there is no classifier {', '.join(sorted(unknown))}")


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """Runs a command in a folder, and returns what it prints; what fails is shown, and ends all."""
    # No variable of Python's may lead to the packages of this clone.
    environment = {name: os.environ[name] for name in os.environ if name[:6] != "PYTHON"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    shown = " ".join(map(str, command))
    check(done.returncode == 0, f"{shown} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    print(f"{what} ... ", end="", flush=True)
    start = time.monotonic()
    yield
    print(f"{time.monotonic() - start:.0f} s")


def build() -> Path:
    """Builds both, and returns the wheel."""
    shutil.rmtree(DIST, ignore_errors=True)
    with step("building the sdist, and the wheel from it"):
        run(sys.executable, "-m", "build")
    (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    with step("reading their metadata"):
        run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
        check_classifiers()
    check_same(sdist.name, files_of_sdist(sdist), set(run("git", "ls-files").splitlines()))
    check_same(wheel.name, files_of_wheel(wheel), sources())
    return wheel


def try_out(wheel: Path, folder: Path) -> None:
    """Installs a wheel into an empty environment in a folder, and uses it there."""
    with step("installing the wheel into an empty environment"):
        run(sys.executable, "-m", "venv", folder / "venv")
        run(folder / "venv/bin/python", "-m", "pip", "install", wheel)
    python, jaxparl = folder / "venv/bin/python", folder / "venv/bin/jaxparl"
    with step("asking for its version, its help and its types"):
        version = run(jaxparl, "--version", folder=folder)
        check(version == f"jaxparl {VERSION}\n", f"jaxparl --version prints {version!r}")
        help_text = run(jaxparl, "--help", folder=folder)
        check("usage: jaxparl" in help_text, f"jaxparl --help prints {help_text!r}")
        run(python, "-c", IS_TYPED, folder=folder)
    with step("running the README's Python"):
        code, told = readme_example()
        printed = run(python, "-c", code, folder=folder)
        check(printed == f"{told}\n", f"the README's Python prints {printed!r}, not {told!r}")
    with step("training for some seconds"):
        run(jaxparl, *TRAINING, folder=folder)
        for name in ("summary.json", "metrics.csv"):
            check((folder / "run" / name).is_file(), f"the training has left no {name}")


def main() -> None:
    changes = run("git", "status", "--porcelain")
    check(not changes, f"a release is what is committed, and this is not:\n{changes}")
    wheel = build()
    with tempfile.TemporaryDirectory() as folder:
        try_out(wheel, Path(folder))
    print(f"jaxparl {VERSION} can be released: dist/ has it")


if __name__ == "__main__":
    main()
