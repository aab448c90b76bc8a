"""What is computed on, how precisely, and whether it is computed twice with the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from report_card import Row
from throughput import PAPERS

from parts.gpu.children import lines, measure, with_flags
from parts.gpu.plan import Plan, attempt
from parts.processes import SHORT, Found, command, read

#: Of which games one iteration is computed twice, and short runs are.
GAMES = ("game_tree", "coin_game_3x3")
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"
#: Runs side by side, and the seed that is trained alone, too.
RUNS, ALONE = 4, 2
# Seconds without which a game is not begun.
_LEAST_OF_ITERATION, _LEAST_OF_RUNS = 30, 90


def device(plan: Plan) -> Iterator[Row]:
    """The device, and the settings that decide which bits it computes."""
    for found in measure("device", plan.budget):
        size = f"{found['bytes'] / 2**30:.1f} GiB for JAX" if found["bytes"] else "memory not told"
        plugins = " ".join(f"{name} {version}" for name, version in found["plugins"].items())
        yield Row(
            "device",
            "; ".join(filter(None, [found["kind"], size, found["platform"], plugins])),
            "",
            None,
            found,
        )
        settings = {name: value for name, value in found["numerics"].items() if value}
        shown = ", ".join(f"{name}: {value}" for name, value in settings.items())
        yield Row("device: settings that decide bits, where they are set", shown, "", None)


def precision(plan: Plan) -> Iterator[Row]:
    """What products at the default precision change, beside float32 throughout."""
    for found in measure("products", plan.budget, size=plan.sizes.product):
        what = f"a product at {found['precision']} precision: its error, of its norm"
        yield Row(what, f"{found['error']:.1e}", "", None, found)
    for found in measure("payments", plan.budget, count=plan.sizes.contracts):
        shape = f"{found['actions']} actions, {found['outcomes']} outcomes"
        yield Row(
            f"least payments, {shape}, at default and highest precision: most apart",
            f"{found['apart']:.1e}; {found['flags']} implementable at one only",
            "",
            None,
            found,
        )
    for name in GAMES[: plan.sizes.games]:
        yield from attempt(name, plan.budget, _LEAST_OF_ITERATION, one_iteration(name, plan))


def one_iteration(name: str, plan: Plan) -> Iterator[Row]:
    """Offers and updates of one game, at both precisions."""
    for found in measure("one_iteration", plan.budget, name=name, options=plan.options(name)):
        yield Row(
            f"{name}: offers at default and highest precision: same recommendations; payments "
            "apart at most (the largest payment)",
            f"{found['same']:.1%}; {found['payments']:.1e} ({found['largest']:.1e})",
            "",
            None,
            found,
        )
        yield Row(
            f"{name}: weights after an iteration: apart, of its step (norms): agents, principal",
            f"{found['agent']:.1e}, {found['principal']:.1e}",
            "",
            None,
        )


def determinism(plan: Plan) -> Iterator[Row]:
    """Whether short runs have the same bits when they are made again, or alone."""
    for name in GAMES[: plan.sizes.games]:
        yield from attempt(name, plan.budget, _LEAST_OF_RUNS, again(name, plan))


def again(name: str, plan: Plan) -> Iterator[Row]:
    """Runs of one game, twice, without and with deterministic kernels; then one of them alone."""
    together = ("--seeds", f"0:{RUNS}")
    with TemporaryDirectory(prefix="jaxparl-gpu-") as folder:
        for what, flags in (("no other flags", ""), ("deterministic", DETERMINISTIC)):
            first, second = (
                trained(Path(folder) / f"{what}-{number}", name, plan, together, flags)
                for number in range(2)
            )
            yield compared(f"{name}: {what}, made twice", first, second)
        alone = ("--seeds", f"{ALONE}:{ALONE + 1}")
        found = trained(Path(folder) / "alone", name, plan, alone, DETERMINISTIC)
        what = f"{name}: deterministic, alone in {RUNS} lanes and among {RUNS} runs"
        yield compared(what, found, first.select([ALONE]))


def trained(folder: Path, name: str, plan: Plan, seeds: tuple[str, ...], flags: str) -> Found:
    """Short runs in a process of their own, which compiles, and so chooses kernels, by itself."""
    environment, preset = PAPERS[name]
    options = (*plan.options(name), *SHORT, *seeds, "--lanes", str(RUNS))
    line = command(folder, environment, "--preset", preset, *options)
    given = {"JAX_ENABLE_COMPILATION_CACHE": "false", **with_flags(flags)}
    for _ in lines(line, plan.budget, **given):
        pass
    return read(folder)


def compared(what: str, one: Found, other: Found) -> Row:
    """How many runs end in the same state, and whether all metrics are the same on the way."""
    pairs = [*zip(one.fingerprints, other.fingerprints, strict=True)]
    alike = sum(mine == theirs for mine, theirs in pairs)
    bits = "every bit" if one.same(other) else "not every bit"
    shown = f"{alike} of {len(pairs)}; {bits} of metrics and states"
    return Row(f"{what}: the same final states", shown, "", None, {"alike": alike})
