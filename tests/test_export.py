"""Finished runs are written as other tools read them, with the values that they have."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from command_line import SMALL_COIN_GAME, SMALL_TREE, fails, finished

from jaxparl import cli

VALIDATED = (*SMALL_COIN_GAME, "--validate")


def exported(*arguments) -> None:
    cli.main(["export", *map(str, arguments)])


@pytest.fixture
def content(tmp_path):
    """What marl-eval is given of a small Coin Game."""
    exported(finished(*VALIDATED), "--marl-eval", tmp_path / "out" / "runs.json")
    return json.loads((tmp_path / "out" / "runs.json").read_text())


def test_marl_eval_gets_every_scheme_run_and_evaluation(content):
    arrays = np.load(finished(*VALIDATED) / "validation.npz")
    (algorithms,) = content["coin_game"].values()
    assert set(algorithms) == set(arrays["scheme"].tolist())
    for row, (scheme, seed) in enumerate(zip(arrays["scheme"], arrays["seed"], strict=True)):
        steps = algorithms[scheme][f"seed_{seed}"]
        last = steps.pop("absolute_metrics")
        assert last["welfare"] == [pytest.approx(arrays["welfare"][row, -1])]
        counts = [step["step_count"] for step in steps.values()]
        assert counts == arrays["iteration"].tolist()
        welfare = [step["welfare"] for step in steps.values()]
        np.testing.assert_allclose(np.ravel(welfare), arrays["welfare"][row])


def test_all_runs_have_the_same_metrics_all_of_them_defined(content):
    (algorithms,) = content["coin_game"].values()
    steps = [step for runs in algorithms.values() for run in runs.values() for step in run.values()]
    (names,) = {tuple(name for name in step if name != "step_count") for step in steps}
    # Without recommendations nobody can follow any.
    assert "welfare" in names
    assert "followed_share" not in names
    assert np.isfinite([step[name] for step in steps for name in names]).all()


def test_the_table_has_a_row_for_every_run_and_evaluation_of_every_folder(tmp_path):
    folders = [finished(*SMALL_TREE), shutil.copytree(finished(*SMALL_TREE), tmp_path / "again")]
    exported(*folders, "--csv", tmp_path / "runs.csv")
    with (tmp_path / "runs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    arrays = np.load(folders[0] / "metrics.npz")
    for folder in folders:
        own = [row for row in rows if row["folder"] == str(folder)]
        found = np.array([float(row["utility_ratio"]) for row in own])
        np.testing.assert_allclose(found, arrays["utility_ratio"].ravel(), rtol=1e-6)
        assert [row["seed"] for row in own[::4]] == ["0", "1"]


def test_what_cannot_be_written_is_said_in_one_line(tmp_path, capsys):
    tree, more = finished(*SMALL_TREE), finished(*SMALL_TREE, "--seeds", "0:3")
    file = str(tmp_path / "runs.json")
    assert "say what to write" in fails(capsys, "export", str(tree))
    assert "name the folder of a run" in fails(capsys, "export", "--csv", file)
    # Both are called `run`, so more of their paths tells them apart.
    message = fails(capsys, "export", str(tree), str(more), "--marl-eval", file)
    assert "marl-eval reads groups of as many sound runs each alone" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_marl_evals_own_loader_accepts_it(content):
    pytest.importorskip("marl_eval")
    from marl_eval.utils.data_processing_utils import (  # pyright: ignore[reportMissingImports]
        create_matrices_for_rliable,
        data_process_pipeline,
    )
    from marl_eval.utils.diagnose_data_errors import (  # pyright: ignore[reportMissingImports]
        DiagnoseData,
    )

    (checks,) = DiagnoseData(content).check_data().values()
    assert all(checks.values())
    processed = data_process_pipeline(content, ["welfare"])
    matrices, _ = create_matrices_for_rliable(processed, "coin_game", ["welfare"])
    assert matrices["mean_norm_welfare"]["selfish"].shape == (2, 1)
