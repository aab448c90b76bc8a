"""`import jaxparl`: its names, their examples, and what importing leaves alone."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys

import pytest

import jaxparl

NAMES = sorted(set(jaxparl.__all__) - {"__version__"})

# What importing must not change, printed before and after.
STATE = """
import logging, jax, matplotlib
def state():
    levels = {name: logging.getLogger(name).level for name in ("", "absl", "jax", "orbax")}
    settings = {name: repr(value) for name, value in jax.config.values.items()}
    return levels, [*logging.root.handlers], matplotlib.rcParams._get("backend"), settings
before = state()
"""


def in_a_fresh_process(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_a_docstring_with_an_example(name):
    value = getattr(jaxparl, name)
    assert inspect.getdoc(value)
    found = doctest.DocTestFinder(recurse=False).find(value, name)
    # They run where pytest collects the docstrings of modules, and in test_registry.
    assert sum(len(each.examples) for each in found) >= 1


def test_the_names_are_those_that_users_rely_on():
    promised = {
        "Components",
        "Config",
        "Contract",
        "GameParams",
        "PrincipalAgentEnvironment",
        "Resolution",
        "TabularGame",
        "TrainResult",
        "backward_induction",
        "best_response",
        "load_weights",
        "make",
        "make_train",
        "make_validate",
        "meta_algorithm",
        "minimal_contract",
        "observed_action_contract",
        "register",
        "run_job",
        "value_iteration",
    }
    assert promised <= set(NAMES)
    assert set(NAMES) <= set(dir(jaxparl))
    assert jaxparl.__version__[0].isdigit()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nosuch'"):
        _ = jaxparl.nosuch


@pytest.mark.parametrize(
    "statement",
    [
        "from jaxparl.contracts import minimal_contract",
        "from jaxparl.equilibrium import TabularGame, Equilibrium, MetaResult, backward_induction",
        "from jaxparl.equilibrium import best_response, meta_algorithm, value_iteration",
        "from jaxparl.training import make_train, TrainResult",
        "from jaxparl.envs import REGISTRY, make",
        "from jaxparl.config import Config",
    ],
)
def test_the_import_paths_of_earlier_versions_work(statement):
    exec(statement, {})


def test_importing_is_quick_and_loads_neither_jax_nor_gymnax():
    code = (
        "import sys, jaxparl\n"
        "heavy = {'jax', 'jaxlib', 'gymnax', 'matplotlib', 'orbax', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    rows = in_a_fresh_process(code, "-X", "importtime").stderr.splitlines()
    (row,) = (row for row in rows if row.split("|")[-1].strip() == "jaxparl")
    assert int(row.split("|")[1]) < 300_000, "microseconds"


def test_importing_any_room_leaves_the_process_as_it_was():
    modules = (
        "jaxparl.environment",
        "jaxparl.training",
        "jaxparl.experiment.checkpoint",
        "jaxparl.experiment.figures",
        "jaxparl.cli",
    )
    check = "\nassert before == state(), (before, state())\n"
    imports = "".join(f"import {module}{check}" for module in modules)
    in_a_fresh_process(f"{STATE}\n{imports}")
