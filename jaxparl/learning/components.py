"""What of a learner can be made elsewhere: its networks, its optimisers, or all of it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import optax
from gymnax.environments import spaces

if TYPE_CHECKING:
    from jaxparl.learning.learner import Learner
    from jaxparl.learning.problem import Problem


@dataclasses.dataclass(frozen=True)
class Components:
    """Functions that make parts of a learner; None where jaxparl makes them.

    They are handed to `make_train`, `compile_training`, `plan`, `make_validate`,
    `compile_validation` or, in a `Job`, to `run_job`. They are called while a program is traced,
    and must be pure functions.

    Attributes:
      make_network: `(observation_space, hidden_sizes, num_outputs) -> module`, of the agents, of
        the principal, and of a learned outcome model. The module maps observations `[...]` of the
        space, float32 or whatever the environment observes, and bits `[..., F]` to `[..., X]`. F is
        its own for each of them, and may be 0. The bits say which of the others follow, what is
        recommended, or who an agent is. It comes before a network of the environment's own.
      make_optimizer: `schedule -> optax.GradientTransformation`, of the agents and of the
        principal, by default Adam. `schedule(count)` is the step size after so many iterations, by
        the learning rates of the hyper-parameters. If there is a `max_gradient_norm`, gradients are
        clipped before. A wrapper that takes a step only every k-th time, such as
        `optax.MultiSteps`, counts those: there `schedule(k * count)` is the step size.
      make_learner: `problem -> learner`, all that learns; see `learner.Learner`.

    Raises:
      TypeError: one of them cannot be called, or not be hashed.

    Examples:
      >>> import jax
      >>> from jaxparl import Config, make, make_train
      >>> env, env_params = make("game_tree", depth=2)
      >>> config = Config(iterations=200, evaluation_interval=100, hidden_sizes=(16,))
      >>> components = Components(make_optimizer=optax.adamw)
      >>> train = make_train(config, env, env_params, components=components)
      >>> state = jax.eval_shape(train, jax.random.key(0)).state
      >>> type(state.principal.optimizer_state[1]).__name__  # of the decay of weights
      'EmptyState'
      >>> Components(make_optimizer=optax.sgd(0.1))  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      ...
      TypeError: make_optimizer must be a function, not a GradientTransformation...
    """

    make_network: Callable[[spaces.Space, tuple[int, ...], int], nn.Module] | None = None
    make_optimizer: Callable[[optax.Schedule], optax.GradientTransformation] | None = None
    make_learner: Callable[[Problem], Learner] | None = None

    def __post_init__(self) -> None:
        for name, given in vars(self).items():
            if given is not None and not callable(given):
                raise TypeError(f"{name} must be a function, not a {type(given).__name__}")
        hash(self)

    def names(self) -> dict[str, str] | None:
        """What was handed in, by its full name, as config.json records it; None if nothing was.

        Raises:
          ValueError: a function has no name of its own, by which it could be known again.

        Examples:
          >>> Components(make_optimizer=optax.adamw).names()
          {'optimizer': 'optax._src.alias.adamw'}
          >>> Components(make_optimizer=lambda schedule: optax.sgd(schedule)).names()
          Traceback (most recent call last):
          ...
          ValueError: a recorded run needs components with names; give make_optimizer a def
        """
        given = {name: value for name, value in vars(self).items() if value is not None}
        for name, value in given.items():
            if "<lambda>" in _name(value):
                raise ValueError(f"a recorded run needs components with names; give {name} a def")
        return {name.removeprefix("make_"): _name(value) for name, value in given.items()} or None


def _name(given: Any) -> str:
    if isinstance(given, functools.partial):
        arguments = [*map(_text, given.args)]
        arguments += [f"{name}={_text(value)}" for name, value in given.keywords.items()]
        return f"{_name(given.func)}({', '.join(arguments)})"
    if hasattr(given, "__qualname__"):
        return f"{given.__module__}.{given.__qualname__}"
    kind = type(given)
    # Of an object its settings count, if it shows them.
    shown = repr(given) if dataclasses.is_dataclass(given) else f"{kind.__qualname__}()"
    return f"{kind.__module__}.{shown}"


def _text(argument: Any) -> str:
    return _name(argument) if callable(argument) else repr(argument)


#: Everything is made by jaxparl.
STANDARD = Components()
