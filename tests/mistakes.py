"""Deliberate mistakes in the game of `workshop.py`, one at a time, and what is said of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces
from workshop import Params, Settings, Workshop

from jaxparl.environment import GameParams, PrincipalAgentEnvironment


class Mistake(NamedTuple):
    """What a class derived from the right one defines instead, and what is said of it.

    Attributes:
      members: of the class.
      complaint: a regular expression; all of what is said, but for the name of the game.
      settings: what it is built from.
    """

    members: dict[str, Any]
    complaint: str
    settings: Any = Settings()

    def game(self) -> Workshop:
        return type("Workshop", (Workshop,), dict(self.members))(self.settings)


def base(*names: str) -> dict[str, Any]:
    """As if the game did not define these."""
    return {name: vars(PrincipalAgentEnvironment).get(name) or inherited(name) for name in names}


def inherited(name: str) -> Any:
    return getattr(PrincipalAgentEnvironment, name)


def always(value: Any) -> property:
    """An attribute that cannot be set to anything else."""
    return property(lambda self: value, lambda self, other: None)


def after(name: str, change: Callable[..., Any]) -> dict[str, Any]:
    """A method whose result is changed, given its arguments, too."""

    def method(self, *arguments):
        return change(getattr(Workshop, name)(self, *arguments), *arguments)

    return {name: method}


def both(change: Callable[..., Any]) -> dict[str, Any]:
    """The same change of steps and of transitions, which differ by a key in front."""
    return {
        **after("resolve", lambda done, key, *rest: change(done, *rest)),
        **after("transitions", change),
    }


def replace(**fields: Any) -> Callable[..., Any]:
    """A change of some fields, each given by a function of all that there is."""

    def change(done, *arguments):
        return done.replace(**{name: of(done, *arguments) for name, of in fields.items()})

    return change


def with_wear(change):
    """A state in which the wear is another one."""
    return replace(state=lambda done, *rest: done.state.replace(wear=change(done.state.wear)))


@struct.dataclass
class Timeless:
    wear: jax.Array


@struct.dataclass
class Longer:
    wear: jax.Array
    time: jax.Array
    more: jax.Array


@struct.dataclass
class Named(Params):
    title: str = "a workshop"


class Undecorated(GameParams):
    cost: float = 0.5
    breaks: float = 0.25
    max_steps_in_episode: int = 20


class Plain:
    max_steps_in_episode = 20
    discount = 0.9


@dataclasses.dataclass(frozen=True)
class Lists(Settings):
    names: Any = dataclasses.field(default_factory=lambda: ["a", "b"])


def params_are(value: Any) -> dict[str, Any]:
    return {"default_params": property(lambda self: value)}


DECLARED = {
    "no initial_state": Mistake(base("initial_state"), "its class must define initial_state"),
    "no get_obs": Mistake(base("get_obs"), "its class must define get_obs"),
    "no observation_space": Mistake(
        base("observation_space"), "its class must define observation_space"
    ),
    "no default_params": Mistake(base("default_params"), "its class must define default_params"),
    "no outcome_probs": Mistake(
        base("outcome_probs"), "its class must define outcome_probs, as its actions are hidden"
    ),
    "no steps": Mistake(
        base("resolve", "transitions", "tabular_states"),
        "its class must define resolve, or transitions",
    ),
    "no transitions": Mistake(
        base("transitions"), "its class must define transitions, as it has tabular_states"
    ),
    "no agents": Mistake({"num_agents": always(0)}, "its num_agents must be a positive int, not 0"),
    "half an action": Mistake(
        {"num_actions": 2.5}, r"its num_actions must be a positive int, not 2\.5"
    ),
    "no num_outcomes": Mistake(base("num_outcomes"), "its class must define num_outcomes"),
    "observed outcomes": Mistake(
        {"observed_actions": True, "num_outcomes": 3, **base("outcome_probs", "tabular_states")},
        "its actions are observed, so its num_outcomes must be 2, as many as its actions, not 3",
    ),
    "labels": Mistake(
        {"action_labels": ("shirk", "care", "rest")},
        r"its action_labels must be 2, one an action, not 3: \('shirk', 'care', 'rest'\)",
    ),
    "no picture": Mistake(
        {"can_draw": True}, "it says can_draw, but its class does not define draw"
    ),
    "list in settings": Mistake(
        {},
        r"its settings cannot be hashed \(unhashable type: 'list'\): make them a frozen .*",
        Lists(),
    ),
    "array in settings": Mistake(
        {},
        r"its settings hold an array of JAX, \.names: make it a tuple of numbers",
        Lists(names=jnp.zeros(2)),
    ),
    "no hash": Mistake(
        {"__eq__": lambda self, other: True},
        "its class cannot be hashed .*: a class that defines __eq__ must define __hash__",
    ),
    "unequal": Mistake(
        {"__eq__": lambda self, other: self is other, "__hash__": object.__hash__},
        "two instances built from the same settings are not equal, .*",
    ),
    "hashes": Mistake(
        {"__hash__": object.__hash__},
        "two instances built from the same settings are equal, but their hashes are not",
    ),
    "unknown space": Mistake(
        {"observation_space": lambda self, params=None: spaces.Tuple([spaces.Space()])},
        r"its observation_space is Tuple\(.*\), for which there is no network: its method .*",
    ),
    "broken space": Mistake(
        {"observation_space": lambda self, params=None: spaces.Discrete(self.settings.size)},
        r"its observation_space fails \(mistakes\.py, line \d+\): AttributeError: .*'size'",
    ),
}

PARAMS = {
    "a dict": Mistake(params_are({"cost": 0.5}), "its params are a dict, not GameParams: .*"),
    "a plain class": Mistake(
        params_are(Plain()), "its params are a Plain, not GameParams: derive a class from .*"
    ),
    "no decorator": Mistake(
        params_are(Undecorated()),
        r"its params are a Undecorated, which lacks the decorator flax\.struct\.dataclass",
    ),
    "a name": Mistake(
        params_are(Named()),
        r"\.title of its params is a str, which cannot be traced: .* belongs in its settings",
    ),
    "fails": Mistake(
        {"default_params": property(lambda self: Params(costs=1))},
        r"its default_params fails \(mistakes\.py, line \d+\): TypeError: .*'costs'.*",
    ),
    "discount": Mistake(
        params_are(Params(discount=1.5)), r"its discount must be between 0 and 1, not 1\.5"
    ),
    "no end": Mistake(
        {"has_horizon": False, **params_are(Params(discount=1.0))},
        r"it has no horizon \(has_horizon is False\), so its discount must be below 1",
    ),
    "no time": Mistake(
        params_are(Params(max_steps_in_episode=0)),
        r"its time limit \(max_steps_in_episode\) must be at least 1, not 0",
    ),
    "sampled": Mistake(
        {"sample_params": lambda self, key: Params(cost=jax.random.uniform(key, (3,)))},
        r"\.cost of what sample_params returns is float32\[3\], but it must be float32\[\], .*",
    ),
    "other class": Mistake(
        {"sample_params": lambda self, key: GameParams()},
        r"what sample_params returns has no leaf \.cost, \.breaks, unlike default_params",
    ),
}
