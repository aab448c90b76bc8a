"""Principal-agent reinforcement learning in JAX: contracts, exact equilibria, lockstep learners.

The names below are imported when they are first used, so `import jaxparl` is quick, loads no
backend of JAX and changes nothing in the process.

Examples:
  >>> import jaxparl
  >>> env, env_params = jaxparl.make("game_tree", depth=3)
  >>> equilibrium = jaxparl.backward_induction(env.tabular(env_params), env.horizon)
  >>> equilibrium.action.shape  # [T, S]: what the agent does at each step in each state
  (3, 7)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxparl.config import Config as Config
    from jaxparl.config import HyperParams as HyperParams
    from jaxparl.contracts import minimal_contract as minimal_contract
    from jaxparl.contracts import observed_action_contract as observed_action_contract
    from jaxparl.environment import GameParams as GameParams
    from jaxparl.environment import PrincipalAgentEnvironment as PrincipalAgentEnvironment
    from jaxparl.environment import Resolution as Resolution
    from jaxparl.environment import Transitions as Transitions
    from jaxparl.envs import make as make
    from jaxparl.envs import register as register
    from jaxparl.equilibrium import backward_induction as backward_induction
    from jaxparl.equilibrium import best_response as best_response
    from jaxparl.equilibrium import meta_algorithm as meta_algorithm
    from jaxparl.equilibrium import solutions_of as solutions_of
    from jaxparl.equilibrium import value_iteration as value_iteration
    from jaxparl.evaluation.checks import check_env as check_env
    from jaxparl.experiment.checkpoint import load_weights as load_weights
    from jaxparl.experiment.plot import plot as plot
    from jaxparl.experiment.run import run_job as run_job
    from jaxparl.learning.components import Components as Components
    from jaxparl.trained import load as load
    from jaxparl.training import TrainResult as TrainResult
    from jaxparl.training import make_train as make_train
    from jaxparl.training import make_validate as make_validate
    from jaxparl.types import Contract as Contract
    from jaxparl.types import TabularGame as TabularGame

    __version__: str

# Where each public name is defined.
_HOME = {
    "Components": "jaxparl.learning.components",
    "Config": "jaxparl.config",
    "Contract": "jaxparl.types",
    "GameParams": "jaxparl.environment",
    "HyperParams": "jaxparl.config",
    "PrincipalAgentEnvironment": "jaxparl.environment",
    "Resolution": "jaxparl.environment",
    "TabularGame": "jaxparl.types",
    "TrainResult": "jaxparl.training",
    "Transitions": "jaxparl.environment",
    "backward_induction": "jaxparl.equilibrium",
    "best_response": "jaxparl.equilibrium",
    "check_env": "jaxparl.evaluation.checks",
    "load": "jaxparl.trained",
    "load_weights": "jaxparl.experiment.checkpoint",
    "make": "jaxparl.envs",
    "make_train": "jaxparl.training",
    "make_validate": "jaxparl.training",
    "meta_algorithm": "jaxparl.equilibrium",
    "minimal_contract": "jaxparl.contracts",
    "observed_action_contract": "jaxparl.contracts",
    "plot": "jaxparl.experiment.plot",
    "register": "jaxparl.envs",
    "run_job": "jaxparl.experiment.run",
    "solutions_of": "jaxparl.equilibrium",
    "value_iteration": "jaxparl.equilibrium",
}

__all__ = [*_HOME, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        metadata = importlib.import_module("importlib.metadata")
        return metadata.version("jaxparl")
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value  # the next use finds it at once
        return value
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
