"""Many runs at once: games x settings x seeds in one compiled program, on all devices.

A run is a pure function of (config, game, seed) and its own hyper-parameters. Its keys are folded
from these numbers, never split from a count, so a run does not depend on which others are
computed beside it.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.typing import ArrayLike

from jaxparl.config import Config, HyperParams
from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks import check_finite, check_game
from jaxparl.evaluation.checks.small_programs import quick_to_compile
from jaxparl.learning.components import STANDARD, Components
from jaxparl.numbers import in_32_bits
from jaxparl.summaries import by_range
from jaxparl.training.devices import DeviceLayout, assign_runs, fetch, rows_of
from jaxparl.training.programs import IntervalProgram, compile_interval
from jaxparl.training.runs import AnyRun, RunId, env_params_of, hyper_params_of, own_env_params
from jaxparl.training.task import Task, TrainingContext, solve_context, training_task
from jaxparl.types import PyTree, fixed_key

# Games and runs take their keys from two roots, so that game 3 and run 3 share nothing.
_GAME_ROOT, _TRAINING_ROOT = 0, 1


@struct.dataclass
class Run:
    """A run, or all runs with a leading axis R.

    Attributes:
      context: what it is given, and never changes: a `TrainingContext`, or `Terms`.
      state: what it has learned: a `RunState`, or a `ValidationState`.
    """

    context: Any
    state: Any


class Contexts(NamedTuple):
    """What all runs are given, before it is computed: runs that share a context compute it once.

    Attributes:
      prepare: `(*arguments) -> contexts [K, ...]`, compiled once.
      exact: `contexts ->` the exact values among them, by name, which must be finite.
      arguments: those of each call of `prepare`; the first one is the number of a game.
      rows: `[R]`, the place of each run's context among those of all calls.
    """

    prepare: Callable[..., PyTree]
    exact: Callable[[PyTree], Mapping[str, Any]]
    arguments: Sequence[tuple[Any, ...]]
    rows: np.ndarray


class Progress(NamedTuple):
    """What the host knows after an evaluation.

    Attributes:
      evaluations: evaluations done.
      seconds: spent up to here, compilation not included.
      metrics: of this evaluation, NumPy arrays `[R]`.
      runs: all runs, `[rows]` (padded to a multiple of the devices); the next step consumes them.
    """

    evaluations: int
    seconds: float
    metrics: Any
    runs: Run

    def __repr__(self) -> str:
        return f"Evaluation {self.evaluations} after {self.seconds:.1f} s\n{by_range(self.metrics)}"


class CompiledRuns(NamedTuple):
    """Compiled runs, which have no state yet.

    Attributes:
      runs: which runs, in the order of the axis R.
      layout: how that axis is laid out on the devices.
      shapes: what all runs consist of, `[rows, ...]` each.
      start: computes all runs as they are before the first iteration.
      program: takes all runs through an evaluation interval; it consumes them.
      num_contexts: how many different contexts `start` prepares.
      compile_seconds: what compiling took.
    """

    runs: Sequence[AnyRun]
    layout: DeviceLayout
    shapes: Run
    start: Callable[[], Run]
    program: IntervalProgram
    num_contexts: int
    compile_seconds: float

    def __repr__(self) -> str:
        return f"CompiledRuns({len(self.runs)} runs, compiled in {self.compile_seconds:.1f} s)"


def draw_env_params(
    env: Environment, game_id: ArrayLike, own: Mapping[str, ArrayLike] = MappingProxyType({})
) -> GameParams:
    """The params of game number `game_id`, `[]`, with the values that a run has of its `own`."""
    key = jax.random.fold_in(fixed_key(_GAME_ROOT), game_id)
    return env.sample_params(key).replace(**own)


def check_games(env: Environment, runs: Iterable[RunId]) -> None:
    """Checks every game that runs draw, see `evaluation.checks.check_game`.

    Raises:
      ValueError: one of them is wrong; the message has its number.
    """
    for run in runs:
        _check_game(env, run.game_id, tuple(own_env_params(run).items()))


@functools.cache
def _check_game(env: Environment, game_id: int, own: tuple[tuple[str, np.float32], ...]) -> None:
    """Once for each game: the command line checks before it writes, and a sweep checks again."""
    try:
        check_game(env, draw_env_params(env, game_id, dict(own)))
    except ValueError as error:
        raise ValueError(f"game {game_id} of {error}") from error


def run_key(root: int, game_id: ArrayLike, seed: ArrayLike) -> jax.Array:
    """The key of a run; each kind of task has a root of its own."""
    return jax.random.fold_in(jax.random.fold_in(fixed_key(root), game_id), seed)


def select_run(tree: PyTree, number: ArrayLike) -> PyTree:
    """One run of a tree of arrays `[R, ...]`: of states, weights, metrics or hyper-parameters."""
    return jax.tree.map(lambda leaf: leaf[number], tree)


def compile_runs(
    config: Config,
    make_task: Callable[[Any], Task],
    contexts: Contexts,
    *,
    runs: Sequence[AnyRun],
    keys: tuple[int, np.ndarray],
    lanes: int | None,
) -> CompiledRuns:
    """Compiles a task for many runs, and computes nothing yet.

    Args:
      config: of all runs.
      make_task: `context -> task` of one run.
      contexts: what the runs are given.
      runs: which runs.
      keys: of what the runs' keys are made, see `run_key`: the root, and `[R, 2]` games and seeds.
      lanes: see `assign_runs`.
    """
    began = time.perf_counter()
    layout = assign_runs(len(runs), lanes)
    root, numbers = keys

    def init(context: PyTree, number: jax.Array) -> Run:
        return Run(context, make_task(context).init(run_key(root, number[0], number[1])))

    def learn(run: Run, segment: jax.Array) -> tuple[Run, PyTree]:
        state, losses = make_task(run.context).learn(run.state, segment)
        return dataclasses.replace(run, state=state), losses

    def evaluate(run: Run, losses: PyTree) -> PyTree:
        return make_task(run.context).evaluate(run.state, losses)

    # XLA-10, see docs/xla.md.
    # XLA writes most of a program's kernels one after the other, so each program has a thread,
    # and is compiled while the next one is still being traced.
    with ThreadPoolExecutor() as pool:
        preparing = jax.jit(contexts.prepare).lower(*contexts.arguments[0])
        prepared = pool.submit(preparing.compile)
        one = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), preparing.out_info
        )
        starting = jax.jit(jax.vmap(init), out_shardings=layout.sharding).lower(  # over R
            rows_of(layout, one), numbers[layout.rows]
        )
        started = pool.submit(starting.compile, compiler_options=quick_to_compile())
        shapes = starting.out_info
        program = compile_interval(
            layout,
            config.segments_per_evaluation,
            learn=learn,
            evaluate=evaluate,
            runs=shapes,
            pool=pool,
        )
        start = partial(_start, layout, contexts, numbers, prepared.result(), started.result())
    seconds = time.perf_counter() - began
    return CompiledRuns(runs, layout, shapes, start, program, len(contexts.arguments), seconds)


def _start(
    layout: DeviceLayout,
    contexts: Contexts,
    numbers: np.ndarray,
    prepare: Callable[..., PyTree],
    init: Callable[..., Run],
) -> Run:
    """All runs before the first iteration.

    Raises:
      FloatingPointError: a game has exact values that are not finite.
    """
    # What a game leaves undefined is NaN, and passes a user's check for it.
    with jax.debug_nans(False):
        # As NumPy arrays, which every process can lay out over the devices of all.
        found = [jax.device_get(prepare(*arguments)) for arguments in contexts.arguments]
        for each, (game_id, *_) in zip(found, contexts.arguments, strict=True):
            check_finite(contexts.exact(each), f"game {game_id}")
        context = jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)
        return init(select_run(context, contexts.rows[layout.rows]), numbers[layout.rows])


@in_32_bits
def compile_training(
    config: Config,
    env: Environment,
    runs: Sequence[RunId],
    lanes: int | None = None,
    *,
    components: Components = STANDARD,
) -> CompiledRuns:
    """Compiles the training of `runs`, and computes nothing yet.

    Args:
      config: of all runs; its hyper-parameters are theirs where a run has none of its own.
      env: the game; each run draws its params by the number of its game.
      runs: which runs.
      lanes: see `assign_runs`.
      components: what of the learner is made elsewhere.

    Raises:
      ValueError: a run's own hyper-parameter is out of its range, or a game is wrong, see
        `check_games`.
    """
    check_games(env, runs)

    def prepare(
        game_id: jax.Array, own: dict[str, jax.Array], hyper_params: HyperParams
    ) -> TrainingContext:
        context = solve_context(config, env, draw_env_params(env, game_id, own), hyper_params)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], context)

    def exact(context: TrainingContext) -> dict[str, Any]:
        return {} if context.exact == () else vars(context.exact)

    numbers = np.array([(run.game_id, run.seed) for run in runs], np.int32)
    given = (numbers[:, 0], env_params_of(runs), hyper_params_of(config.hyper_params, runs))
    # A game is solved once for each setting, however many seeds are trained on it.
    settings = [(run.game_id, run.own) for run in runs]
    first = {setting: settings.index(setting) for setting in settings}
    arguments = [select_run(given, number) for number in first.values()]
    place = {setting: row for row, setting in enumerate(first)}
    rows = np.array([place[setting] for setting in settings])
    return compile_runs(
        config,
        partial(training_task, config, env, components=components),
        Contexts(prepare, exact, arguments, rows),
        runs=runs,
        keys=(_TRAINING_ROOT, numbers),
        lanes=lanes,
    )


def run(
    config: Config,
    compiled: CompiledRuns,
    runs: Run | None = None,
    done: int = 0,
    seconds: float = 0.0,
) -> Iterator[Progress]:
    """Runs from one evaluation to the next, yielding after each: the place to log, plot or stop.

    The runs that it yields are consumed by its next step. What is to be kept has to be copied.

    Args:
      config: what the runs were compiled for.
      compiled: the compiled runs.
      runs: as an earlier process has left them, and they are consumed; by default they start anew.
      done: evaluations that they have behind them.
      seconds: spent in those.

    Examples:
      >>> from jaxparl.envs import make
      >>> from jaxparl.training import compile_training, grid, run
      >>> env, _ = make("game_tree", depth=2)
      >>> config = Config(iterations=4, target_interval=2, evaluation_interval=2, hidden_sizes=(8,))
      >>> compiled = compile_training(config, env, grid([0], seeds=[0, 1, 2]))
      >>> for progress in run(config, compiled):
      ...     iteration = progress.evaluations * config.evaluation_interval
      ...     print(iteration, progress.metrics.utility_ratio.shape)  # or to any logger
      2 (3,)
      4 (3,)
    """
    now = compiled.start() if runs is None else runs
    for number in range(done, config.num_evaluations):
        start = time.perf_counter()
        now, metrics = jax.block_until_ready(compiled.program(now, number))
        seconds += time.perf_counter() - start
        yield Progress(number + 1, seconds, fetch(compiled.layout, metrics), now)
