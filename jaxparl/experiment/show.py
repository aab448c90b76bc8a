"""Shows finished runs again, without training: tables, figures, and one page that has it all."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jaxparl.experiment import console, page
from jaxparl.experiment.finished import Finished, last_evaluations, name_by_folder, read_finished
from jaxparl.experiment.run_folder import atomic
from jaxparl.experiment.stage import TRAINING, VALIDATION, Stage


def show(folders: Sequence[Path], out: Path | None = None, html: Path | None = None) -> None:
    """Prints the tables of finished runs, those of several folders in one, and redraws figures.

    Args:
      folders: of the runs.
      out: the folder for the figures; by default that of the run, if there is one run alone.
      html: a file for one page with tables, figures, episodes and settings.

    Raises:
      FileNotFoundError: a folder holds no run.
      ValueError: a run is not finished, damaged, or of another version of jaxparl.
      OSError: what is drawn cannot be written.
    """
    stages = _read(folders)
    sections = []
    for stage, found in stages:
        groups, result = last_evaluations(found)
        console.closing_table(stage.title, groups, result)
        place = out or (folders[0] if len(folders) == 1 else None)
        if place:
            _draw(place, stage, found)
        if html:
            episodes = [each.path / f"{stage.episode}.gif" for each in found]
            shown = [episode for episode in episodes if episode.exists()]
            sections.append(page.Section(stage.title, groups, result, _svg(stage, found), shown))
    if len(folders) > 1 and not (out or html):
        console.note("--out FOLDER draws them together, --html FILE writes a page")
    if html:
        html.parent.mkdir(parents=True, exist_ok=True)
        with atomic(html) as target:
            target.write_text(page.render(folders, sections))
        console.note(f"page: {html}")


def _read(folders: Sequence[Path]) -> list[tuple[Stage, list[Finished]]]:
    """What is finished, by stage."""
    stages = []
    for stage in (TRAINING, VALIDATION):
        found = [each for folder in folders if (each := read_finished(folder, stage))]
        if found:
            stages.append((stage, name_by_folder(found)))
    done = {each.path for _, found in stages for each in found}
    for folder in folders:
        if folder not in done:
            has_parts = any(folder.glob("shard-*-of-*"))
            hint = "jaxparl merge joins its parts" if has_parts else "finish it with --resume auto"
            raise ValueError(f"the run in {folder} is not finished; {hint}")
    return stages


def _draw(place: Path, stage: Stage, found: Sequence[Finished]) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        console.note("no figure: matplotlib is missing; pip install 'jaxparl[plot]'")
        return
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{stage.figure}.png"
    with atomic(path) as target:
        _curves(target, found)
    console.note(f"figure: {path}")


def _svg(stage: Stage, found: Sequence[Finished]) -> bytes | None:
    """The figure of a stage for a page; None without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{stage.figure}.svg"
        _curves(path, found)
        return path.read_bytes()


def _curves(path: Path, found: Sequence[Finished]) -> None:
    from jaxparl.experiment import figures

    first, *others = [(each.groups, each.result) for each in found]
    figures.learning_curves(path, *first, others)
