"""`jaxparl COMMAND ...`, which is `python -m jaxparl COMMAND ...`."""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(argv: Sequence[str] | None = None) -> None:
    """Sets up this process and runs the command line, or prints the version for `--version`.

    Raises:
      SystemExit: see `cli.main`.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:  # at once, and even where JAX cannot be imported
        print(f"jaxparl {importlib.metadata.version('jaxparl')}")
        return
    try:
        from jaxparl import startup
    except ValueError as error:
        # JAX reads its settings when it is imported.
        _fail(f"JAX cannot be imported: {error}", 2)
    try:
        startup.start(arguments)
    except (ValueError, RuntimeError) as error:
        _fail(str(error), 2 if isinstance(error, ValueError) else 1)
    # Not earlier: gymnax creates arrays when it is imported, and the first array fixes the devices.
    from jaxparl import cli

    # What has been imported stays. Collecting it again and again takes a tenth of tracing's time.
    gc.freeze()
    cli.main(arguments)


def _fail(message: str, code: int) -> NoReturn:
    with contextlib.suppress(OSError):  # nobody reads it
        print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
