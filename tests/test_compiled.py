"""What a compiled run must not become: slow to compile, or full of copies that `vmap` brings in."""

from __future__ import annotations

import dataclasses
import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest
from conftest import told

from jaxparl.config import Config
from jaxparl.envs import REGISTRY
from jaxparl.evaluation.checks.small_programs import quick_to_compile
from jaxparl.learning import ring
from jaxparl.training.sweep import Run
from jaxparl.training.task import solve_context, training_task

RUNS = 3
# Of the processors, which other load does not prolong much; ours need a fifth of that.
MOST_SECONDS = 60.0
# Nothing else that a program needs is as large as a ring of so many items. Only shapes have it.
LARGE = 10_000_000


class Program(NamedTuple):
    """A game's training, of which nothing is computed.

    Attributes:
      learn: `(run, segment) -> (run, losses)`.
      run: the shapes of one run.
    """

    learn: partial
    run: Run


def learn_segment(config, env, run, segment):
    state, losses = training_task(config, env, run.context).learn(run.state, segment)
    return dataclasses.replace(run, state=state), losses


def program_of(name: str, **changes) -> tuple[Program, Config]:
    preset = REGISTRY[name].presets["quick"]
    env = REGISTRY[name].environment(preset.settings)
    # optax bounds gradients by a selection of its own, of gradients: not what is looked for here.
    config = dataclasses.replace(
        preset.config,
        iterations=400,
        evaluation_interval=200,
        hidden_sizes=(17, 19),
        max_gradient_norm=None,
        **changes,
    )

    def start(key: jax.Array) -> Run:
        context = solve_context(config, env, env.default_params, config.hyper_params)
        context = jax.tree.map(jnp.asarray, context)
        return Run(context, training_task(config, env, context).init(key))

    run = jax.eval_shape(start, jax.random.key(0))
    return Program(partial(learn_segment, config, env), run), config


def equations(jaxpr):
    """All equations, those of inner programs too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "jaxpr")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_no_run_selects_between_old_and_new_weights_or_replays(name):
    program, config = program_of(name)
    runs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((RUNS, *leaf.shape), leaf.dtype), program.run
    )
    side_by_side = jax.vmap(program.learn, (0, None))  # over R
    found = list(equations(jax.make_jaxpr(side_by_side)(runs, jnp.int32(0)).jaxpr))
    names = {str(equation.primitive) for equation in found}
    # The reader goes all the way down, to the products of the networks.
    assert {"scan", "dot_general", "select_n"} <= names
    state = runs.state
    large = {
        leaf.shape
        for part in (state.agent.params, state.principal.params, state.replay.ring)
        for leaf in jax.tree.leaves(part)
        if len(leaf.shape) > 2 or leaf.shape[-1] == config.replay_capacity
    }
    assert large
    selected = {
        equation.outvars[0].aval.shape
        for equation in found
        if str(equation.primitive) == "select_n"
    }
    assert not selected & large
    # `vmap` turns a condition that differs between runs into the computation of both its sides.
    assert "cond" not in names


# test_sweep.py compiles trees, and how a program uses its memory does not depend on the game.
@pytest.mark.parametrize(
    "name",
    [
        # Those with the largest programs, and with one agent.
        name
        if name in ("cleanup", "coin_game", "machine")
        else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(set(REGISTRY) - {"game_tree"})
    ],
)
def test_a_run_compiles_in_a_bounded_time_and_learns_in_place(name, pytestconfig):
    # With one environment, XLA would take the write into the reads, and copy all there is.
    program, _ = program_of(name, replay="prioritised", num_envs=1, replay_capacity=LARGE)
    start = time.process_time()
    lowered = jax.jit(program.learn, donate_argnums=0).lower(program.run, jnp.int32(0))
    # Which memory is used is decided before machine code is written.
    compiled = lowered.compile(compiler_options=quick_to_compile())
    seconds = time.process_time() - start
    assert seconds < MOST_SECONDS
    told(pytestconfig).append(
        f"{name}: compiled (or read from the tests' cache) in {seconds:.1f} s"
    )
    memory = compiled.memory_analysis()
    ring_bytes = sum(
        leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(program.run.state.replay.ring)
    )
    # The ring lies where it lay, and there is no room for a copy of any of its arrays.
    assert ring_bytes > LARGE
    assert memory.alias_size_in_bytes > ring_bytes
    assert memory.temp_size_in_bytes < LARGE


def test_a_copy_of_the_ring_would_be_seen():
    """The same measure of a program that does copy: it reads the ring before and after a write."""
    item = jnp.zeros((1, 1), jnp.int8)

    def write_and_read(stored, iteration):
        written = ring.add(stored, item, iteration)
        return written, (stored + written)[iteration]

    def program(stored):
        return jax.lax.scan(write_and_read, stored, jnp.arange(3))

    stored = jax.ShapeDtypeStruct((LARGE, 1), jnp.int8)
    memory = jax.jit(program, donate_argnums=0).lower(stored).compile().memory_analysis()
    assert memory.temp_size_in_bytes >= LARGE
