"""Finished runs are shown again as they were, one or several together, and as a page."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from command_line import SMALL_COIN_GAME, SMALL_TREE, edit_json, fails, finished, stopped_tree

import jaxparl
from jaxparl import cli
from jaxparl.experiment import figures
from jaxparl.experiment.finished import last_evaluations, name_by_folder, read_finished
from jaxparl.experiment.stage import TRAINING, VALIDATION

OTHER_TREE = (*SMALL_TREE, "--seeds", "0:3", "--iterations", "300")


@pytest.fixture
def tree(tmp_path):
    """A folder of its own, of a tree that was trained."""
    return shutil.copytree(finished(*SMALL_TREE), tmp_path / "tree")


@pytest.fixture
def other(tmp_path):
    """Another one, with fewer iterations and more seeds."""
    return shutil.copytree(finished(*OTHER_TREE), tmp_path / "other")


def shown(capsys, *arguments) -> str:
    cli.main(["show", *map(str, arguments)])
    return capsys.readouterr().out


def read(folder, stage=TRAINING):
    found = read_finished(folder, stage)
    assert found is not None
    return found


def test_what_is_read_back_is_what_was_recorded(tree):
    found = read(tree)
    summary = json.loads((tree / "summary.json").read_text())
    with np.load(tree / "metrics.npz") as arrays:
        for name, curve in found.result.curves.items():
            np.testing.assert_array_equal(curve, arrays[name])
    assert [group.name for group in found.groups] == [each["name"] for each in summary["groups"]]
    assert found.result.fingerprints == [run["fingerprint"] for run in summary["runs"]]
    assert read_finished(tree, VALIDATION) is None


def test_one_run_is_printed_and_drawn_again_as_it_was(tree, capsys):
    before = (tree / "figure.png").read_bytes()
    (tree / "figure.png").unlink()
    table = shown(capsys, tree)
    (group,) = json.loads((tree / "summary.json").read_text())["groups"]
    assert f"{group['metrics']['principal_utility']['mean']:.3f}" in table
    assert (tree / "figure.png").read_bytes() == before


def test_several_runs_are_in_one_table_and_in_the_same_panels(
    tree, other, tmp_path, capsys, monkeypatch
):
    drawn = []
    draw = figures.learning_curves
    monkeypatch.setattr(figures, "learning_curves", lambda *args: drawn.append(draw(*args)))
    table = shown(capsys, tree, other, "--out", tmp_path / "both")
    rows = [line.split()[:3] for line in table.splitlines() if re.match(r" +(tree|other):", line)]
    assert rows == [["tree:", "tree", "0"], ["other:", "tree", "0"]]
    (figure,) = drawn
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names[:2] == ["tree: tree 0 (2 seeds)", "other: tree 0 (3 seeds)"]
    ends = {line.get_xdata()[-1] for line in figure.axes[0].lines if len(line.get_xdata()) > 2}
    assert ends == {300, 400}
    assert (tmp_path / "both" / "figure.png").stat().st_size > 1000


def test_together_they_have_the_values_that_each_has_alone(tree, other):
    each = [read(tree), read(other)]
    groups, result = last_evaluations(name_by_folder(each))
    assert [group.labels["folder"] for group in groups] == ["tree", "other"]
    for group, alone in zip(groups, each, strict=True):
        for name, curve in result.curves.items():
            wanted = alone.groups[0].values(alone.result.curves[name][:, -1:])
            np.testing.assert_array_equal(group.values(curve), wanted)


def test_folders_of_the_same_name_are_told_apart_by_their_paths(tree, tmp_path, capsys):
    shutil.copytree(tree, tmp_path / "again" / "tree")
    table = shown(capsys, tree, tmp_path / "again" / "tree")
    assert "again/tree: tree 0" in table
    assert f"{tmp_path.name}/tree: tree 0" in table
    assert "--out FOLDER draws them together" in table


def test_a_page_has_everything_in_it_and_needs_nothing_beside_it(tmp_path, capsys):
    folder = finished(*SMALL_COIN_GAME, "--validate")
    page = tmp_path / "pages" / "run.html"
    shown(capsys, folder, "--html", page, "--out", tmp_path / "figures")
    text = page.read_text()
    assert page.stat().st_size < 5e6
    kinds = re.findall(r'src="data:(image/[a-z+]+);base64', text)
    assert kinds == ["image/svg+xml", "image/gif"] * 2
    # Nothing is fetched from anywhere, and nothing runs.
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "<script" not in text
    for said in ("Black-box agents under each scheme", "cooperative", "config.hyper_params.nudge"):
        assert said in text


def test_settings_that_differ_are_marked(tree, other, tmp_path, capsys):
    shown(capsys, tree, other, "--html", tmp_path / "page.html")
    marked = re.findall(r"<tr class=differs><td>([^<]*)</td>", (tmp_path / "page.html").read_text())
    assert "config.iterations" in marked
    assert "environment" not in marked


def test_what_cannot_be_shown_is_said_in_one_line(tree, tmp_path, capsys):
    assert "no run in" in fails(capsys, "show", str(tmp_path))
    assert "a folder is given twice" in fails(capsys, "show", str(tree), str(tree))
    assert "name the folder of a run" in fails(capsys, "show")
    assert "is not finished; finish it with --resume auto" in fails(
        capsys, "show", str(stopped_tree())
    )
    edit_json(tree / "config.json", format=1)
    assert "cannot show it; show it with that version" in fails(capsys, "show", str(tree))
    edit_json(
        tree / "config.json",
        format=json.loads((finished(*SMALL_TREE) / "config.json").read_text())["format"],
    )
    (tree / "metrics.npz").write_bytes(b"nothing")
    assert "is damaged" in fails(capsys, "show", str(tree))


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_folder_is_drawn_as_its_own_figure_is(tree):
    figure = jaxparl.plot(tree)
    assert legend(figure) == ["tree 0 (2 seeds)", "exact"]
    arrays = np.load(tree / "metrics.npz")
    mean = max(figure.axes[0].lines, key=lambda line: line.get_linewidth())
    np.testing.assert_allclose(mean.get_ydata(), arrays["principal_utility"].mean(axis=0))
    assert legend(jaxparl.plot({"mine": str(tree)}))[0] == "mine: tree 0 (2 seeds)"


def test_the_validation_of_a_folder_is_drawn_when_asked_for():
    folder = finished(*SMALL_COIN_GAME, "--validate")
    names = [name.split(" (")[0] for name in legend(jaxparl.plot(folder, validation=True))]
    assert {"principal", "selfish", "exact"} <= set(names)
    assert "selfish" not in "".join(legend(jaxparl.plot(folder)))


def test_a_folder_without_what_is_asked_for_is_refused(tree):
    with pytest.raises(ValueError, match="holds no finished training"):
        jaxparl.plot(stopped_tree())
    with pytest.raises(ValueError, match="holds no finished validation"):
        jaxparl.plot(tree, validation=True)
