"""How many kernels an iteration launches, by the text of its compiled program (HLO)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.-]+) .*-> .*\{$")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%?[\w.-]+ = .*?\s([a-z][a-z0-9-]*)\((.*)$")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
# Instructions that compute nothing.
_FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("opt-barrier", "partition-id", "replica-id"),
}
# What a fusion is named by: the first of these that it has.
_TELLING = ("scatter", "dot", "convolution", "sort", "reduce", "gather", "dynamic-update-slice")


class Instruction(NamedTuple):
    """One instruction: its opcode, and its operands and attributes as they are written."""

    opcode: str
    rest: str

    def computation(self, attribute: str) -> str:
        """The name of a computation that it calls."""
        [name] = re.findall(rf"\b{attribute}=%?([\w.-]+)", self.rest)
        return str(name)


class Launched(NamedTuple):
    """What is launched.

    Attributes:
      kinds: how many kernels, by kind, the most frequent ones first.
      captured: how many of them are in command buffers, each of which is launched as one.
      buffers: how many command buffers.
    """

    kinds: Mapping[str, int]
    captured: int = 0
    buffers: int = 0

    @property
    def total(self) -> int:
        """Kernels of all kinds."""
        return sum(self.kinds.values())

    def plus(self, other: Launched, times: int = 1) -> Launched:
        """Together with another, so many times."""
        kinds = Counter(self.kinds)
        for kind, count in other.kinds.items():
            kinds[kind] += times * count
        return Launched(
            dict(kinds.most_common()),
            self.captured + times * other.captured,
            self.buffers + times * other.buffers,
        )


_NOTHING = Launched({})


class Program(NamedTuple):
    """A program: the instructions of each computation, and the name of the first one."""

    computations: Mapping[str, list[Instruction]]
    entry: str


def of_iteration(text: str) -> Launched:
    """What the body of a loop launches each time: of the loop that launches most.

    Raises:
      ValueError: the program has no loop.
    """
    program = read(text)
    return max(_bodies(program, program.entry), key=lambda found: found.total)


def read(text: str) -> Program:
    """Parses HLO as `jax.stages.Compiled.as_text` writes it."""
    computations: dict[str, list[Instruction]] = {}
    entry, current = "", []
    for line in text.splitlines():
        if head := _COMPUTATION.match(line):
            current = computations[head[2]] = []
            entry = head[2] if head[1] else entry
        elif found := _INSTRUCTION.match(line):
            current.append(Instruction(found[1], found[2]))
    return Program(computations, entry)


def _bodies(program: Program, name: str) -> Iterator[Launched]:
    """What each loop of a computation launches each time, and of those that it calls."""
    for each in program.computations[name]:
        if each.opcode == "while":
            yield _launched(program, each.computation("body"))
        elif each.opcode == "call":
            called = each.computation("to_apply")
            for found in _bodies(program, called):
                yield _captured(found) if _is_buffer(called) else found


def _launched(program: Program, name: str) -> Launched:
    """What a computation launches."""
    found = _NOTHING
    for each in program.computations[name]:
        if each.opcode == "while":
            trips = _TRIPS.search(each.rest)
            body = _launched(program, each.computation("body"))
            found = found.plus(body, int(trips[1]) if trips else 1)
        elif each.opcode == "conditional":
            branches = (_launched(program, branch) for branch in _branches(each))
            found = found.plus(max(branches, key=lambda branch: branch.total))
        elif each.opcode == "call":
            called = each.computation("to_apply")
            inner = _launched(program, called)
            found = found.plus(_captured(inner) if _is_buffer(called) else inner)
        elif each.opcode not in _FREE and not each.opcode.endswith("-done"):
            found = found.plus(Launched({_kind(program, each): 1}))
    return found


def _is_buffer(computation: str) -> bool:
    return computation.startswith("command_buffer")


def _captured(inner: Launched) -> Launched:
    """The same within a command buffer."""
    return Launched(inner.kinds, inner.total, 1)


def _branches(conditional: Instruction) -> list[str]:
    if found := _BRANCHES.search(conditional.rest):
        return [name.strip().removeprefix("%") for name in found[1].split(",")]
    return [conditional.computation(f"{truth}_computation") for truth in ("true", "false")]


def _kind(program: Program, each: Instruction) -> str:
    """What a kernel is called: by its opcode, and by what tells most about it."""
    if each.opcode == "custom-call" and (target := _TARGET.search(each.rest)):
        return f"custom call {target[1]}"
    if each.opcode == "fusion":
        inside = {one.opcode for one in program.computations[each.computation("calls")]}
        telling = [opcode for opcode in _TELLING if opcode in inside]
        return f"fusion with {telling[0]}" if telling else "fusion"
    return each.opcode
