"""A sweep trained in parts and put together is the sweep trained at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxparl import cli
from jaxparl.checkpoint import load_weights

SWEEP = (
    *("game_tree", "--depth", "3", "--iterations", "200", "--evaluation-interval", "100"),
    *("--replay-capacity", "1600", "--hidden-sizes", "16", "16", "--games", "0:1"),
    *("--seeds", "0:3", "--sweep", "nudge=0.0,0.02"),
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    """Six runs in four parts, so that the parts are not equally large."""
    folder = tmp_path_factory.mktemp("parts")
    for index in range(4):
        cli.main(["train", *SWEEP, "--shard", f"{index}/4", "--out", str(folder)])
    return folder


def fails(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main(["merge", *arguments])
    assert stop.value.code == 2
    says = capsys.readouterr().err
    assert "Traceback" not in says
    return says


def test_the_parts_together_are_the_whole_to_the_bit(parts, tmp_path, capsys):
    cli.main(["train", *SWEEP, "--out", str(tmp_path / "whole")])
    cli.main(["merge", str(parts), "--out", str(tmp_path / "merged")])
    assert f"merged: {tmp_path / 'merged'}" in capsys.readouterr().out
    whole, merged = tmp_path / "whole", tmp_path / "merged"
    assert (whole / "metrics.csv").read_bytes() == (merged / "metrics.csv").read_bytes()
    arrays, others = np.load(whole / "metrics.npz"), np.load(merged / "metrics.npz")
    assert arrays["nudge"].tolist() == [0.0, 0.0, 0.0, 0.02, 0.02, 0.02]
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], others[name])
    summaries = [json.loads((path / "summary.json").read_text()) for path in (whole, merged)]
    for summary in summaries:
        del summary["timing"]
    assert summaries[0] == summaries[1]
    weights = [vars(load_weights(path / "checkpoints" / "final")) for path in (whole, merged)]
    jax.tree.map(np.testing.assert_array_equal, *weights)
    assert (merged / "figure.png").exists()


def test_what_is_missing_is_named_and_nothing_is_written(parts, tmp_path, capsys):
    some = tmp_path / "some"
    shutil.copytree(parts, some)
    shutil.rmtree(some / "shard-1-of-4")
    (some / "shard-3-of-4" / "summary.json").unlink()
    says = fails(capsys, str(some))
    assert "lacks 3 of 6 runs" in says
    assert "shard-1-of-4, shard-3-of-4 (not finished)" in says
    assert "game 0 seed 2 nudge 0.0; game 0 seed 0 nudge 0.02; game 0 seed 2 nudge 0.02" in says
    assert not (some / "merged").exists()


def test_parts_of_different_sweeps_are_refused(parts, tmp_path, capsys):
    mixed = tmp_path / "mixed"
    shutil.copytree(parts, mixed)
    path = mixed / "shard-2-of-4" / "config.json"
    config = json.loads(path.read_text())
    config["config"]["rates"]["alpha"] = 0.5
    path.write_text(json.dumps(config))
    says = fails(capsys, str(mixed))
    assert "shard-2-of-4 and shard-0-of-4 are parts of different sweeps" in says
    assert "config.rates.alpha was 1.0, not 0.5" in says
    assert not (mixed / "merged").exists()


def test_a_folder_without_parts_is_refused(tmp_path, capsys):
    assert "no parts in" in fails(capsys, str(tmp_path))


def test_a_part_needs_a_place_that_is_everyones(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["train", *SWEEP, "--shard", "0/2"])
    assert "--shard needs --out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
