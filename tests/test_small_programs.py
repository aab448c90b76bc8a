"""Programs that run once are compiled quickly, by an option that only a CPU's compiler has."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from jaxparl.evaluation.checks import small_programs

ROOT = Path(__file__).parents[1]
OPTION = "xla_backend_optimization_level"


@pytest.mark.parametrize(("backend", "asked"), [("cpu", {OPTION: "0"}), ("gpu", {}), ("tpu", {})])
def test_only_a_cpu_is_asked_to_optimise_less(backend, asked, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert small_programs.quick_to_compile() == asked


def test_a_function_asks_for_the_backend_when_it_is_first_called(monkeypatch):
    asked, jit, given = [], jax.jit, []

    def default_backend():
        asked.append(None)
        return "gpu"

    def spy(*arguments, compiler_options, **options):
        given.append(compiler_options)
        return jit(*arguments, **options)

    monkeypatch.setattr(jax, "default_backend", default_backend)
    monkeypatch.setattr(jax, "jit", spy)
    twice = small_programs.compiled_quickly(lambda number, x: number * x)
    assert asked == given == []
    assert [float(twice(2, 1.0)), float(twice(2, 4.0))] == [2.0, 8.0]
    assert given == [{}]


def test_the_option_is_named_in_one_place():
    sources = [*(ROOT / "jaxparl").rglob("*.py"), *(ROOT / "envs").rglob("*.py")]
    assert [path.stem for path in sources if OPTION in path.read_text()] == ["small_programs"]
