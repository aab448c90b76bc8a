"""Options of the command line: which runs they mean, and which part of them is this process's."""

from __future__ import annotations

import pytest

from jaxparl.config import HyperParams
from jaxparl.experiment.options import RunOptions, all_runs, own_part, own_runs


def test_a_task_of_a_slurm_array_takes_its_part(monkeypatch):
    assert own_part(RunOptions()) is None
    # sbatch --array=10-16:2 makes four tasks: 10, 12, 14, 16.
    for name, value in {"COUNT": "4", "MIN": "10", "STEP": "2", "ID": "14"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert own_part(RunOptions()) == (2, 4)
    assert own_part(RunOptions(shard="0/3")) == (0, 3)


@pytest.mark.parametrize("text", ["", "3", "2/2", "-1/2", "a/b", "1/0"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ValueError, match="must be I/N with 0 <= I < N"):
        own_part(RunOptions(shard=text))


def test_more_parts_than_runs_are_refused():
    runs = all_runs(RunOptions(games="0:1", seeds="0:2"), HyperParams())
    assert own_runs(runs, (1, 2)) == runs[1:]
    with pytest.raises(ValueError, match="only 2 runs"):
        own_runs(runs, (0, 3))


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ("nudge", "must be NAME=VALUE,VALUE"),
        ("colour=1,2", "must be NAME=VALUE,VALUE"),
        ("nudge=", "are not numbers"),
        ("nudge=a,b", "are not numbers"),
        ("nudge=0.1,0.10", "twice"),
        ("nudge=-1", "nudge must be >= 0"),
        ("nudge=nan", "nudge must be >= 0"),
    ],
)
def test_what_is_no_sweep_is_refused(sweep, says):
    with pytest.raises(ValueError, match=says):
        all_runs(RunOptions(games="0:1", seeds="0:2", sweep=(sweep,)), HyperParams())
