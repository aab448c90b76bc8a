"""The benchmarks keep up with what they measure."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmark_imports import FOLDER, NAMES, importing_benchmarks

from jaxparl.config import Config
from jaxparl.envs import make
from jaxparl.learning.lockstep import Lockstep, make_lockstep
from jaxparl.learning.problem import Problem


@pytest.fixture
def benchmark():
    with importing_benchmarks() as importer:
        yield importer


def small_learner():
    env, env_params = make("game_tree", depth=2)
    config = Config(
        iterations=20,
        target_interval=10,
        evaluation_interval=20,
        hidden_sizes=(8,),
        batch_size=8,
        replay_capacity=80,
    )
    return make_lockstep(Problem(config, env, env_params, config.hyper_params))


def traced_only(iterate):
    """The same iteration, which is traced, but computes nothing: it compiles in no time."""

    def stays(learns, state, number):
        after, losses = jax.eval_shape(partial(iterate, learns), state, number)
        assert shapes(after) == shapes(state)
        return state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), losses)

    return stays


def shapes(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


def test_a_report_is_of_a_process_that_is_set_up_as_the_command_line_does():
    # Whatever starts JAX before `startup.start` leaves all cores to one device.
    says = "import report_card, jax; print(jax.local_device_count(), report_card.startup.cores())"
    given = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    found = subprocess.run(
        [sys.executable, "-c", says],
        cwd=FOLDER,
        env=given | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    devices, cores = found.stdout.split()
    assert devices == given.get("JAX_NUM_CPU_DEVICES", cores)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_can_be_imported_and_run(name, benchmark):
    assert callable(benchmark(name).main)


def test_the_replay_benchmark_stores_what_replay_stores(benchmark):
    replay = benchmark("replay")
    state = jax.eval_shape(lambda: replay.full_state(2))
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), state)
    for program in replay.PROGRAMS:
        iterate = partial(replay.iterate, program)
        after, total = jax.eval_shape(iterate, one, jax.random.key(0), 0)
        assert jax.tree.structure(after) == jax.tree.structure(one)
        assert jnp.shape(total) == ()


def test_every_step_of_the_breakdown_goes_on_where_it_has_ended(benchmark, monkeypatch):
    iteration = benchmark("parts.iteration")
    learns, traced = small_learner(), []

    def trace(step, carry):
        after = jax.eval_shape(step, carry, jnp.int32(0))
        assert shapes(after) == shapes(carry)
        traced.append(step)
        return 1.0

    def trace_all(key):
        state = learns.init(key)
        shape = (iteration.BATCHES, -1)
        ring = state.replay.ring
        batches = jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), ring)
        for measure in iteration.STEPS.values():
            assert measure(iteration.Trained(learns, state, batches)) > 0
        return key

    monkeypatch.setattr(iteration, "seconds_of", trace)
    jax.eval_shape(trace_all, jax.random.key(0))
    assert len(traced) == len(iteration.STEPS) + 1  # there are two optimisers


def test_the_training_benchmarks_know_the_presets(benchmark):
    training, throughput = benchmark("training"), benchmark("throughput")
    trees = [("game_tree", preset) for preset in training.PRESET_BARS]
    for environment, preset in [
        *trees,
        ("coin_game", training.BOARD),
        *throughput.parts().values(),
    ]:
        job = training.cli.parse([environment, "--preset", preset])
        assert training.all_runs(job)
    assert {part for _, part, _ in throughput.BARS} <= set(throughput.parts())


def test_the_scale_benchmark_gives_command_lines_that_can_be_parsed(benchmark):
    processes, same_results = benchmark("parts.processes"), benchmark("parts.same_results")
    lines = [(game, *options) for game, options in same_results.KILLED.items()]
    lines += [
        (game, "--preset", preset, *processes.SHORT) for game, preset in processes.PAPERS.items()
    ]
    for line in [same_results.SWEPT, *lines]:
        job, env = processes.parse(*line)
        assert env.name and job.config.iterations < 10_000
    job, _ = processes.parse(*same_results.SWEPT)
    assert len(same_results.all_runs(job)) == 3 * 32


def test_every_preset_can_be_cut_as_short_as_compiling_needs(benchmark):
    compiling, training = benchmark("compiling"), benchmark("training")
    for environment, preset in compiling.parts().values():
        asked = [environment, "--preset", preset, *compiling.RUNS, *compiling.SHORT]
        assert training.cli.parse(asked).config.iterations == 100


def test_throughput_is_measured_of_all_runs_together(benchmark, monkeypatch):
    throughput = benchmark("throughput")
    monkeypatch.setattr(throughput, "ITERATIONS", 20)
    monkeypatch.setattr(throughput, "CALLS", 2)
    monkeypatch.setattr(Lockstep, "iterate", traced_only(Lockstep.iterate))
    found = throughput.measure(small_learner(), 2)
    assert found.runs == 2
    assert found.iterations_per_second > 0
    # Two networks of a few hundred weights, their targets and moments; replay of 80 steps.
    assert 1_000 < found.bytes_per_run < 100_000


def test_every_iteration_is_called_from_python(benchmark, monkeypatch):
    throughput = benchmark("throughput")
    iterate, numbers = traced_only(Lockstep.iterate), []

    def noted(learns, state, number):
        jax.debug.callback(numbers.append, number)
        return iterate(learns, state, number)

    monkeypatch.setattr(throughput, "ITERATIONS", 5)
    monkeypatch.setattr(throughput, "CALLS", 2)
    monkeypatch.setattr(Lockstep, "iterate", noted)
    assert throughput.from_python(small_learner()) > 0
    jax.effects_barrier()
    assert sorted(map(int, numbers)) == list(range(10))


def test_throughput_ends_where_runs_do_not_fit(benchmark, monkeypatch):
    throughput = benchmark("throughput")

    def measure(_, runs):
        if runs > 4:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return throughput.Measured(runs, 100.0 * runs, 1.0, 1e6)

    monkeypatch.setattr(throughput, "learner_of", lambda *_: small_learner())
    monkeypatch.setattr(throughput, "measure", measure)
    monkeypatch.setattr(throughput, "from_python", lambda _: 50.0)
    rows, found = throughput.grow("game_tree", 64)
    assert [one.runs for one in found] == [1, 2, 4]
    assert (rows[-2].what, rows[-2].measured) == ("game_tree: 8 runs", "do not fit")
    assert "from Python" in rows[-1].what and "2.0 times as slow" in rows[-1].measured
    rows, found = throughput.grow("game_tree", 2)
    assert [one.runs for one in found] == [1, 2]


def test_a_bar_is_reached_once_or_for_good(benchmark):
    training = benchmark("training")
    history = [training.Progress(number, 10.0 * number, None, None) for number in range(1, 5)]
    for reached, shown in (
        ([0, 0, 0, 0], "not reached"),
        ([0, 1, 1, 1], "20 s"),
        ([1, 0, 1, 1], "10 s, for good 30 s"),
        ([0, 1, 1, 0], "20 s, but not at the end"),
    ):
        assert training.until(history, np.array(reached, bool)) == shown


def front_of(welfare, paid):
    """What the benchmark of fronts keeps, of one nudge."""
    labels = {"nudge": 0.05, "nudge_scale": 0.0, "alpha": 0.1}
    point = {"labels": labels, "welfare": welfare, "paid": paid}
    exact = {"nudge": 0.05, "alpha": 0.1, "welfare": 1.0, "paid": 0.04}
    machine = {"processor": "a", "cores": 1, "devices": ["cpu:0"]}
    about = {"command": "", "machine": machine, "versions": {"jax": "1"}}
    return {"followed": [point], "black boxes": [point], "exact": [exact], **about}


def test_a_seed_that_diverged_is_the_worst_and_is_left_out_of_what_is_paid(benchmark):
    fronts, tables = benchmark("fronts"), benchmark("parts.front_tables")
    found = front_of([0.5, None, 0.7], [0.25, None, 0.35])
    assert fronts.rows("alpha", found)[-1].measured == "none"  # holds 98% of the best
    measured = fronts.rows("nudge", found)[0].measured
    assert measured == "welfare 60.0% of the best, worst 0.0%; 30.0% paid"
    by_scale = found | {"exact": {"0": found["exact"]}}
    assert "60.0% (50.0% to 70.0%); worst 0.0% | 30.0% (25.0% to 35.0%)" in "".join(
        tables.nudges(by_scale)
    )
    assert "60.0% (100.0%), 30.0% (4.0%)" in "".join(tables.alphas(found))


def test_all_seeds_may_have_diverged(benchmark, tmp_path):
    fronts, tables = benchmark("fronts"), benchmark("parts.front_tables")
    found = front_of([None, None], [None, None])
    assert fronts.rows("nudge", found)[0].measured == "welfare - of the best, worst 0.0%; - paid"
    by_scale = found | {"exact": {"0": found["exact"]}}
    assert tables.nudges(by_scale) and tables.alphas(found)
    fronts.draw(tmp_path / "front.png", by_scale)
    assert (tmp_path / "front.png").exists()


def test_where_no_principal_pays_nothing_is_shown_as_paid(benchmark):
    tables = benchmark("parts.mechanism_tables")
    seed = {"welfare": 6.0, "optimal_welfare": 8.0, "payment_share": 0.5, "followed_share": 1.0}
    seeds = {"0": seed | {"best_response_over_following": 1.0}, "1": dict.fromkeys(seed)}
    exact = {"equilibrium_payment_share": 0.25}
    schemes = dict.fromkeys(["principal", "exchange", "fine", "pigovian", "selfish"], seeds)
    found = tables.cells({"exact": exact, "schemes": schemes})
    assert found.pop("principal") == ["75.0%", "0.0%", "50.0%", "2.00", "100.0%", "0.00%"]
    assert set(map(tuple, found.values())) == {("75.0%", "0.0%", "", "", "100.0%", "0.00%")}
