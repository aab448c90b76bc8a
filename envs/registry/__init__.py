"""What is known of each game without building it, and the doors by which games get in.

The command line, the conformance tests and the benchmarks iterate `REGISTRY`. The games that come
with jaxparl are registered in `envs/__init__.py`. Others are registered from Python (`register`),
declared by an installed package (`GROUP`), or named by their class (`find`).
"""

from jaxparl.envs.registry.doors import GROUP as GROUP
from jaxparl.envs.registry.doors import Game as Game
from jaxparl.envs.registry.doors import find as find
from jaxparl.envs.registry.doors import make as make
from jaxparl.envs.registry.doors import names as names
from jaxparl.envs.registry.doors import refused as refused
from jaxparl.envs.registry.entries import REGISTRY as REGISTRY
from jaxparl.envs.registry.entries import Entry as Entry
from jaxparl.envs.registry.entries import build as build
from jaxparl.envs.registry.entries import register as register
from jaxparl.envs.registry.presets import Preset as Preset

__all__ = [
    "GROUP",
    "REGISTRY",
    "Entry",
    "Game",
    "Preset",
    "build",
    "find",
    "make",
    "names",
    "refused",
    "register",
]
