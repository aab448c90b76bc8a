"""A sweep trained in parts and put together is the sweep trained at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from command_line import (
    SMALL_COIN_GAME,
    SMALL_TREE,
    assert_same_results,
    edit_json,
    fails,
    finished,
    train,
)

from jaxparl import cli
from jaxparl.experiment.checkpoint import load_weights, save_weights
from jaxparl.learning.state import Weights

SWEEP = (*SMALL_TREE, "--seeds", "0:1", "--sweep", "nudge=0.0,0.01,0.02,0.03,0.04")


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    """Five runs in two parts, so that the parts are not equally large."""
    folder = tmp_path_factory.mktemp("parts")
    for index in range(2):
        assert train(folder, *SWEEP, "--shard", f"{index}/2") == 0
    return folder


def assert_same_weights(one: Path, other: Path) -> None:
    weights = [vars(load_weights(path / "checkpoints" / "final")) for path in (one, other)]
    jax.tree.map(np.testing.assert_array_equal, *weights)


def test_the_parts_together_are_the_whole_to_the_bit(parts, tmp_path, capsys):
    whole, merged = finished(*SWEEP), tmp_path / "merged"
    cli.main(["merge", str(parts), "--out", str(merged)])
    assert f"merged: {merged}" in capsys.readouterr().out
    assert_same_results(whole, merged)
    assert_same_weights(whole, merged)
    assert np.load(merged / "metrics.npz")["nudge"].tolist() == [0.0, 0.01, 0.02, 0.03, 0.04]


def test_what_is_missing_is_named_and_nothing_is_written(parts, tmp_path, capsys):
    some = tmp_path / "some"
    shutil.copytree(parts, some)
    shutil.rmtree(some / "shard-1-of-2")
    message = fails(capsys, "merge", str(some))
    assert "lacks 2 of 5 runs, those of shard-1-of-2: game 0 seed 0 nudge 0.03; game" in message
    (some / "shard-0-of-2" / "summary.json").unlink()
    message = fails(capsys, "merge", str(some))
    assert "lacks 5 of 5 runs" in message
    assert "shard-0-of-2 (not finished), shard-1-of-2" in message
    assert "game 0 seed 0 nudge 0.0; game 0 seed 0 nudge 0.01; game 0 seed 0 nudge" in message
    assert not (some / "merged").exists()


def test_parts_of_different_sweeps_are_refused(parts, tmp_path, capsys):
    mixed = tmp_path / "mixed"
    shutil.copytree(parts, mixed)
    path = mixed / "shard-1-of-2" / "config.json"
    config = json.loads(path.read_text())
    config["config"]["hyper_params"]["alpha"] = 0.5
    path.write_text(json.dumps(config))
    message = fails(capsys, "merge", str(mixed))
    assert "shard-1-of-2 and shard-0-of-2 are parts of different sweeps" in message
    assert "config.hyper_params.alpha was 1.0, not 0.5" in message
    assert not (mixed / "merged").exists()


def test_parts_of_other_versions_are_merged_with_a_warning(parts, tmp_path, capsys):
    mixed = tmp_path / "mixed"
    shutil.copytree(parts, mixed)
    path = mixed / "shard-1-of-2" / "config.json"
    config = json.loads(path.read_text())
    edit_json(path, versions={**config["versions"], "jax": "0.6.0"})
    first = mixed / "shard-0-of-2" / "config.json"
    edit_json(first, machine={**config["machine"], "cores": 77})
    cli.main(["merge", str(mixed)])
    message = capsys.readouterr().err
    assert 'versions.jax was "' in message and 'not "0.6.0"' in message
    # It says where the results were computed, not where they were merged.
    assert json.loads((mixed / "merged" / "config.json").read_text())["machine"]["cores"] == 77


def test_parts_of_other_numerics_are_refused(parts, tmp_path, capsys):
    mixed = tmp_path / "mixed"
    shutil.copytree(parts, mixed)
    path = mixed / "shard-1-of-2" / "config.json"
    numerics = json.loads(path.read_text())["numerics"]
    edit_json(path, numerics={**numerics, "jax_enable_x64": True})
    assert "numerics.jax_enable_x64 was false, not true" in fails(capsys, "merge", str(mixed))


def test_parts_of_an_older_version_are_left_to_it(parts, tmp_path, capsys):
    old = tmp_path / "old"
    shutil.copytree(parts, old)
    edit_json(old / "shard-1-of-2" / "config.json", format=1, versions={"jaxparl": "0.1.0"})
    message = fails(capsys, "merge", str(old))
    assert f"{old / 'shard-1-of-2'} was written by jaxparl 0.1.0" in message
    assert "merge the parts with that version" in message
    assert not (old / "merged").exists()


def test_a_folder_without_parts_is_refused(tmp_path, capsys):
    assert "no parts in" in fails(capsys, "merge", str(tmp_path))


def write_part(whole: Path, path: Path, index: int) -> None:
    """Makes of a validated run of two seeds the part that has trained one of them."""
    path.mkdir(parents=True)
    config: dict[str, Any] = json.loads((whole / "config.json").read_text())
    content = {**config, "runs": [config["runs"][index]], "shard": [index, 2]}
    (path / "config.json").write_text(json.dumps(content))
    weights = vars(load_weights(whole / "checkpoints" / "final"))
    own = jax.tree.map(lambda leaf: leaf[index : index + 1], weights)
    save_weights(path / "checkpoints" / "final", Weights(**own))
    for metrics, summary in (("metrics", "summary"), ("validation", "validation")):
        arrays = dict(np.load(whole / f"{metrics}.npz"))
        rows = arrays["seed"] == index
        kept = {name: leaf if name == "iteration" else leaf[rows] for name, leaf in arrays.items()}
        np.savez(path / f"{metrics}.npz", **kept)
        shutil.copy(whole / f"{summary}.json", path)
        runs = json.loads((whole / f"{summary}.json").read_text())["runs"]
        own_runs = [run for run, own in zip(runs, rows, strict=True) if own]
        edit_json(path / f"{summary}.json", runs=own_runs)


def test_validated_parts_are_put_together_with_their_validation(tmp_path):
    whole = finished(*SMALL_COIN_GAME, "--validate")
    for index in range(2):
        write_part(whole, tmp_path / "parts" / f"shard-{index}-of-2", index)
    cli.main(["merge", str(tmp_path / "parts")])
    merged = tmp_path / "parts" / "merged"
    for path in whole.glob("*.gif"):
        assert not (merged / path.name).exists()
        (merged / path.name).touch()  # episodes are drawn where runs are trained
    assert_same_results(whole, merged)
    assert_same_weights(whole, merged)
