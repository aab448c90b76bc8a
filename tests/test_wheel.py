"""The wheel holds the files of the tree: a forgotten sub-package would be missing in silence."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def sources(folder: Path, prefix: str) -> set[str]:
    """The files of a folder that a package consists of, as they are called in the wheel."""
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}"
        for path in folder.rglob("*")
        if path.suffix == ".py" or path.name == "py.typed"
    }


def test_a_wheel_holds_the_files_of_the_tree_and_no_others(tmp_path):
    # From a copy, so that building leaves nothing in the tree.
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "docs", "runs")
    shutil.copytree(ROOT, copy, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    options = ["--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path), str(copy)]
    subprocess.run([*command, *options], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("jaxparl-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = sources(ROOT / "jaxparl", "jaxparl") | sources(ROOT / "envs", "jaxparl/envs")
    assert held == expected
