"""Options of the command line: which runs they mean, and which part of them is this process's."""

from __future__ import annotations

import pytest

from jaxparl.config import Config
from jaxparl.envs import make
from jaxparl.experiment.options import Job, RunOptions, all_runs, numbers_of, own_part, own_runs
from jaxparl.experiment.slurm import Array, Part
from jaxparl.training.runs import RunId


def test_the_part_is_that_which_is_asked_for():
    assert own_part(RunOptions()) is None
    assert own_part(RunOptions(shard="0/3")) == Part(0, 3)
    assert own_part(RunOptions(shard="none")) is None


def job(env_params=None, **options):
    """A job with these options, of a game that has a discount."""
    return Job(
        environment="game",
        label="game",
        settings=None,
        options=RunOptions(**options),
        config=Config(),
        env_params=env_params or {},
        known_params=("discount",),
    )


@pytest.mark.parametrize("text", ["", "3", "2/2", "-1/2", "a/b", "1/0"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ValueError, match="must be I/N with 0 <= I < N, or none"):
        own_part(RunOptions(shard=text))


def test_more_parts_than_runs_are_refused():
    runs = all_runs(job(games="0:1", seeds="0:2"))
    assert own_runs(runs, Part(1, 2)) == runs[1:]
    with pytest.raises(ValueError, match="--shard 0/3: there are only 2 runs"):
        own_runs(runs, Part(0, 3))
    # One seed a task: each would train a part of its one run.
    with pytest.raises(ValueError, match=r"3 tasks, and only 1 run to share .* give --shard none"):
        own_runs(runs[:1], Part(0, 3, Array(0, 1)))


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ("nudge", "must be NAME=VALUE,VALUE"),
        ("colour=1,2", "must be NAME=VALUE,VALUE"),
        ("nudge=", "'' is not a number; give numbers separated by commas"),
        ("nudge=0.1,a", "'a' is not a number"),
        ("nudge=0.1;0.2", "'0.1;0.2' is not a number"),
        ("nudge=0.1,0.10", "twice"),
        ("nudge=-1", "nudge must be >= 0"),
        ("nudge=nan", "nudge must be >= 0"),
    ],
)
def test_what_is_no_sweep_is_refused(sweep, says):
    with pytest.raises(ValueError, match=says):
        all_runs(job(games="0:1", seeds="0:2", sweep=(sweep,)))


def test_params_of_the_game_are_values_of_every_run_and_can_be_swept():
    runs = all_runs(job(games="0:1", seeds="0:1", env_params={"discount": 0.5}))
    assert runs == [RunId(0, 0, (("discount", 0.5),))]
    both = ("discount=0.25,0.75", "nudge=0.0,0.1")
    runs = all_runs(job(games="0:1", seeds="0:1", sweep=both))
    assert [dict(run.own)["discount"] for run in runs] == [0.25, 0.25, 0.75, 0.75]
    for values, says in (
        ("0.5,2", "discount must be between 0 and 1"),
        ("0.5,1e39", "that float32 can hold"),
        ("0.9,0.90000000001", "twice"),
    ):
        with pytest.raises(ValueError, match=says):
            all_runs(job(sweep=(f"discount={values}",)))
    with pytest.raises(ValueError, match="leave out --discount"):
        all_runs(job(sweep=("discount=0.5,0.9",), env_params={"discount": 0.5}))


def test_a_param_that_is_called_like_a_column_of_the_results_cannot_be_set():
    for name in ("welfare", "seed"):
        with pytest.raises(ValueError, match=f"called {name}, as a column"):
            all_runs(job(env_params={name: 1.0}))


def test_only_numbers_among_the_params_can_be_set():
    assert numbers_of(make("game_tree", depth=2)[1]) == {"discount": 1.0}
    assert set(numbers_of(make("coin_game")[1])) == {
        "discount", "own_reward", "other_reward", "stolen_reward",
    }  # fmt: skip
