"""The benchmark for GPUs keeps to its time, and loses nothing that was measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import pytest
from benchmark_imports import FOLDER, importing_benchmarks

SLEEPS = "import time; print('begun', flush=True); time.sleep(60)"


@pytest.fixture
def benchmark(monkeypatch):
    # The benchmark sets it for its own process.
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    with importing_benchmarks() as importer:
        yield importer


@pytest.fixture
def plan(benchmark):
    return benchmark("parts.gpu.plan")


class Clock:
    """A clock that goes on when it is told to, in seconds."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def measured(benchmark, *names):
    """Rows of a part that measures something by these names."""
    for name in names:
        yield benchmark("report_card").Row(name, "1", "", None)


def whats(rows):
    return [(row.what, row.measured, row.passed) for row in rows]


def test_a_part_of_the_time_ends_with_the_whole(plan):
    clock = Clock()
    whole = plan.Budget(100.0, clock)
    part = whole.within(30)
    assert (whole.left(), part.left()) == (100, 30)
    clock.now = 80.0
    assert (part.left(), whole.within(30).left()) == (-50, 20)


def test_what_does_not_fit_is_left_out_and_not_begun(benchmark, plan):
    def never():
        raise AssertionError
        yield

    [row] = plan.attempt("trees", plan.Budget(20.0, Clock()), 45, never())
    assert whats([row]) == [("trees", "left out: 20 s are left, and it takes 45 s", None)]


def test_what_is_cut_keeps_what_was_measured(benchmark, plan):
    def cut():
        yield from measured(benchmark, "one run")
        raise plan.TimeUpError("ended after 45 s")

    rows = plan.attempt("trees", plan.Budget(60.0, Clock()), 45, cut())
    assert whats(rows) == [("one run", "1", None), ("trees", "cut: ended after 45 s", None)]


@pytest.fixture
def gpu(benchmark, monkeypatch):
    """The benchmark with three parts, the second of which fails; and what `--out` held at last."""
    module, held = benchmark("gpu"), []

    def fails(_):
        yield from measured(benchmark, "one run")
        raise RuntimeError("no kernel for it")

    def last(plan):
        held.append(json.loads((plan.folder / "gpu.json").read_text())["rows"])
        return measured(benchmark, "the flags")

    def first(_):
        return measured(benchmark, "a GPU")

    parts = {"device": first, "trees": fails, "flags": last}
    made = {name: module.Part(rows, 10, 60) for name, rows in parts.items()}
    monkeypatch.setattr(module, "PARTS", made)
    return module, held


def test_where_a_part_fails_the_rest_goes_on_and_all_is_written(gpu, tmp_path, monkeypatch, capsys):
    module, held = gpu
    out = tmp_path / "gpu.json"
    arguments = ["--folder", str(tmp_path), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["benchmarks/gpu.py", *arguments])
    assert module.main() == 1
    [before] = held
    assert [row["what"] for row in before] == ["a GPU", "one run", "trees"]
    after = json.loads(out.read_text())
    assert [row["what"] for row in after["rows"]] == ["a GPU", "one run", "trees", "the flags"]
    assert after["rows"][2]["measured"] == "failed: no kernel for it"
    assert after["command"].startswith("python benchmarks/gpu.py --folder")
    printed = capsys.readouterr()
    assert "| trees | failed: no kernel for it |  | MISSED |" in printed.out
    assert "Traceback" in printed.err


def test_only_the_parts_that_are_asked_for_are_measured_in_their_order(
    gpu, tmp_path, monkeypatch, capsys
):
    module, _ = gpu
    arguments = ["--parts", "trees", "device", "--minutes", "0.5", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks/gpu.py", *arguments])
    assert module.main() == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines[1:]] == ["| one run", "| trees", "| a GPU"]


def test_a_process_is_ended_in_time_with_what_it_has_started(benchmark, plan):
    children = benchmark("parts.gpu.children")
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPS!r}])"
    start, found = time.monotonic(), []
    with pytest.raises(plan.TimeUpError, match="ended after 1 s"):
        for line in children.lines([sys.executable, "-c", starts], plan.Budget.of(1.0)):
            found.append(line)
    # The pipe is closed when nobody is left who could write to it.
    assert time.monotonic() - start < 20
    assert found in ([], ["begun\n"])


def test_a_process_that_nobody_reads_any_more_is_ended(benchmark, plan):
    children = benchmark("parts.gpu.children")
    start = time.monotonic()
    lines = children.lines([sys.executable, "-c", SLEEPS], plan.Budget.of(60.0))
    assert next(lines) == "begun\n"
    lines.close()
    assert time.monotonic() - start < 20


def test_a_process_that_fails_says_why_in_its_last_line(benchmark, plan, capsys):
    children = benchmark("parts.gpu.children")
    fails = "import sys; print(1); sys.exit('Unknown flag')"
    lines = children.lines([sys.executable, "-c", fails], plan.Budget.of(60.0))
    assert next(lines) == "1\n"
    with pytest.raises(children.ChildError, match=r"Unknown flag \(exit code 1\)"):
        next(lines)
    assert "Unknown flag" in capsys.readouterr().err


def test_a_process_has_its_memory_and_other_flags_besides_those_that_are_set(
    benchmark, plan, monkeypatch
):
    children = benchmark("parts.gpu.children")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    monkeypatch.setenv("XLA_FLAGS", "--one=1")
    names = "XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_FLAGS"
    says = f"import os; print(*(os.environ[name] for name in {names}))"
    given = children.with_flags("--other=2")
    [line] = children.lines([sys.executable, "-c", says], plan.Budget.of(60.0), **given)
    assert line == "true --one=1 --other=2\n"


LOOP = """\
HloModule jit_loop, entry_computation_layout={(f32[8]{0})->f32[8]{0}}

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %sum = f32[] add(%x, %y)
}

%fused_sum (param_0: f32[8]) -> f32[] {
  %param_0 = f32[8]{0} parameter(0)
  %zero = f32[] constant(0)
  ROOT %reduce.1 = f32[] reduce(%param_0, %zero), dimensions={0}, to_apply=%add
}

%command_buffer (p: f32[8]) -> (f32[8], f32[]) {
  %p = f32[8]{0} parameter(0)
  %gemm = (f32[8]{0}, s8[4]{0}) custom-call(%p, %p), custom_call_target="__cublas$gemm"
  %product = f32[8]{0} get-tuple-element(%gemm), index=0
  %sum = f32[] fusion(%product), kind=kInput, calls=%fused_sum
  ROOT %both = (f32[8]{0}, f32[]) tuple(%product, %sum)
}

%inner (q: f32[8]) -> f32[8] {
  %q = f32[8]{0} parameter(0)
  ROOT %minus = f32[8]{0} negate(%q)
}

%never (q: f32[8]) -> pred[] {
  %q = f32[8]{0} parameter(0)
  ROOT %false = pred[] constant(false)
}

%body (state: f32[8]) -> f32[8] {
  %state = f32[8]{0} parameter(0)
  %called = (f32[8]{0}, /*index=1*/f32[]) call(%state), to_apply=%command_buffer
  %first = f32[8]{0} get-tuple-element(%called), index=0
  %turned = f32[8]{0} while(%first), condition=%never, body=%inner, \
backend_config={"known_trip_count":{"n":"3"}}
  %either = f32[8]{0} conditional(%turned, %turned), branch_computations={%inner, %body_2}
  ROOT %copy = f32[8]{0} copy(%either), metadata={op_name="jit(loop)/while/body"}
}

%body_2 (q: f32[8]) -> f32[8] {
  %q = f32[8]{0} parameter(0)
  ROOT %bits = f32[8]{0} bitcast(%q)
}

ENTRY %main (start: f32[8]) -> f32[8] {
  %start = f32[8]{0} parameter(0)
  ROOT %done = f32[8]{0} while(%start), condition=%never, body=%body
}
"""


def test_kernels_are_counted_in_command_buffers_branches_and_inner_loops(benchmark):
    found = benchmark("parts.gpu.launches").of_iteration(LOOP)
    assert found.kinds == {
        "negate": 3 + 1,  # in a loop, and in the longer branch
        "custom call __cublas$gemm": 1,
        "fusion with reduce": 1,
        "copy": 1,
    }
    assert (found.captured, found.buffers) == (2, 1)


def test_a_loop_within_a_command_buffer_is_found_and_captured(benchmark):
    text = LOOP.replace(
        "ROOT %done = f32[8]{0} while(%start), condition=%never, body=%body",
        "ROOT %done = f32[8]{0} call(%start), to_apply=%command_buffer.1",
    )
    text += """
%command_buffer.1 (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %done = f32[8]{0} while(%p), condition=%never, body=%body
}
"""
    found = benchmark("parts.gpu.launches").of_iteration(text)
    assert (found.total, found.captured, found.buffers) == (7, 7, 1)


def test_the_loop_of_a_compiled_program_is_found(benchmark):
    launches, iteration = benchmark("parts.gpu.launches"), benchmark("parts.iteration")

    def step(carry, number):
        return jnp.sort(carry @ carry) * number

    compiled = iteration.loop(step).lower(jnp.ones((8, 8))).compile()
    found = launches.of_iteration(compiled.as_text())
    assert any("sort" in kind for kind in found.kinds)
    assert 1 < found.total < 20
    with pytest.raises(ValueError):
        launches.of_iteration(jax.jit(jnp.sin).lower(1.0).compile().as_text())


@pytest.mark.slow
def test_all_of_it_runs_with_small_sizes(tmp_path):
    out = tmp_path / "gpu.json"
    arguments = ["--tiny", "--minutes", "40", "--folder", str(tmp_path), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, str(FOLDER / "gpu.py"), *arguments],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = {row["what"]: row["measured"] for row in json.loads(out.read_text())["rows"]}
    assert not [what for what, shown in rows.items() if shown.startswith(("left", "cut", "failed"))]
