"""What the commands say that read the folders of runs, and train nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class Parts:
    """Which parts to join.

    Attributes:
      folder: the --out that they had; it holds folders shard-I-of-N.
      out: where the whole goes, new or empty; by default FOLDER/merged.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    out: Path | None = None


@dataclasses.dataclass(frozen=True)
class Shown:
    """Which runs to show.

    Attributes:
      folders: of finished runs.
      out: the folder for the figures; by default that of the run, if there is one run alone.
      html: a file for one page with tables, figures, episodes and settings.
    """

    folders: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER [FOLDER ...]")
    ]
    out: Path | None = None
    html: Path | None = None


@dataclasses.dataclass(frozen=True)
class Exported:
    """Which runs to write, and as what.

    Attributes:
      folders: of finished runs.
      csv: a file with a row for every run and evaluation.
      marl_eval: a file of JSON for id-marl-eval.
    """

    folders: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER [FOLDER ...]")
    ]
    csv: Path | None = None
    marl_eval: Path | None = None


def parse_parts(arguments: Sequence[str]) -> Parts:
    """Reads `FOLDER [--out FOLDER]` of the command that merges.

    Raises:
      SystemExit: with code 2 for what cannot be read, with code 0 after help.
    """
    return tyro.cli(
        Parts,
        prog="jaxparl merge",
        description="Joins the parts of a sweep that was trained with --shard into one folder.",
        args=arguments,
    )


def parse_shown(arguments: Sequence[str]) -> Shown:
    """Reads `FOLDER [FOLDER ...] [--out FOLDER] [--html FILE]` of the command that shows.

    Raises:
      ValueError: there is no folder, or one is given twice.
      SystemExit: with code 2 for what cannot be read, with code 0 after help.
    """
    shown = tyro.cli(
        Shown,
        prog="jaxparl show",
        description="Prints and draws finished runs again, without training.",
        args=arguments,
    )
    _check_folders(shown.folders)
    return shown


def parse_exported(arguments: Sequence[str]) -> Exported:
    """Reads `FOLDER [FOLDER ...] [--csv FILE] [--marl-eval FILE]` of the command that exports.

    Raises:
      ValueError: there is no folder, or one is given twice.
      SystemExit: with code 2 for what cannot be read, with code 0 after help.
    """
    exported = tyro.cli(
        Exported,
        prog="jaxparl export",
        description="Writes finished runs as other tools read them: validation where every folder "
        "has one, and training otherwise.",
        args=arguments,
    )
    _check_folders(exported.folders)
    return exported


def _check_folders(folders: Sequence[Path]) -> None:
    if not folders:
        raise ValueError("name the folder of a run, or of several")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ValueError("a folder is given twice")
