"""What nobody can read ends nothing."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest

from jaxparl.experiment.streams import unbreakable


class Broken(io.StringIO):
    """A stream that works until a text of it is refused."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        if "refused" in text:
            raise OSError(self.number, os.strerror(self.number))
        return super().write(text)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC, errno.EIO])
def test_a_stream_that_fails_swallows_what_follows(number, monkeypatch):
    out, err = Broken(number), Broken(number)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with unbreakable():
        print("one")
        print("refused")
        print("two", flush=True)
        print("three", file=sys.stderr)
    assert out.getvalue() == "one\n"
    assert err.getvalue() == "three\n"
    assert (sys.stdout, sys.stderr) == (out, err)


def test_a_stream_that_was_closed_before_the_process_began_swallows_everything(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with unbreakable():
        print("one")
        assert not sys.stdout.isatty()
    assert sys.stdout is None


def test_what_is_wrong_with_anything_else_is_an_error():
    with pytest.raises(OSError, match="nowhere"), unbreakable():
        os.listdir("/nowhere/at/all")
