"""One page about runs that needs nothing beside it: tables, figures, episodes, settings."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from jaxparl.experiment import run_folder
from jaxparl.experiment.closing_table import closing_columns, closing_legends
from jaxparl.experiment.results import StageResult
from jaxparl.experiment.statistics import Group

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 0 auto;
  padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { padding: 0.2rem 0.8rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
tr.differs td { background: #fff6dd; }
img { max-width: 100%; height: auto; }
p.legend { color: #555; font-size: 0.85rem; margin: 0.2rem 0; }
"""


class Section(NamedTuple):
    """What a page says about one stage.

    Attributes:
      title: of its table.
      groups: of its runs.
      result: what it has found; its last evaluation is shown.
      figure: its learning curves as SVG; None where nothing could be drawn.
      episodes: the GIFs that there are.
    """

    title: str
    groups: Sequence[Group]
    result: StageResult
    figure: bytes | None
    episodes: Sequence[Path]


def render(folders: Sequence[Path], sections: Sequence[Section]) -> str:
    """The page as HTML, with pictures in it.

    Args:
      folders: of the runs.
      sections: one for each stage.
    """
    names = ", ".join(folder.name for folder in folders)
    parts = [f"<h1>{escape(names)}</h1>", *map(_section, sections), _settings(folders)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Browsers would look for an icon beside the page.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(names)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def closing_table(groups: Sequence[Group], result: StageResult) -> str:
    """The closing table of a stage as HTML, with its legends."""
    columns = closing_columns(groups, result)
    header = [column.header for column in columns]
    rows = list(zip(*(column.cells for column in columns), strict=True))
    legends = "<br>\n".join(map(escape, closing_legends(groups, result)))
    return f'{_table(header, rows)}\n<p class="legend">{legends}</p>'


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", closing_table(section.groups, section.result)]
    if section.figure is not None:
        parts.append(_picture(section.figure, "image/svg+xml", "learning curves"))
    parts += [
        _picture(path.read_bytes(), "image/gif", f"an episode of {path.parent.name}")
        for path in section.episodes
    ]
    return "\n".join(parts)


def _picture(content: bytes, kind: str, alt: str) -> str:
    encoded = base64.b64encode(content).decode()
    return f'<p><img src="data:{kind};base64,{encoded}" alt="{escape(alt)}"></p>'


def _settings(folders: Sequence[Path]) -> str:
    """What the runs were asked for; what differs between folders is marked."""
    found = [_flat(run_folder.read_config(folder)) for folder in folders]
    names = dict.fromkeys(name for each in found for name in each)
    rows = [(name, *(each.get(name, "") for each in found)) for name in names]
    marked = [len(set(cells)) > 1 for _, *cells in rows]
    header = ["", *(folder.name for folder in folders)]
    return f"<h2>Settings</h2>\n{_table(header, rows, marked)}"


def _flat(content: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Settings within settings, by names with dots; the lists of runs are in the tables."""
    found: dict[str, str] = {}
    for name, value in content.items():
        if name in ("runs", "of_runs"):
            continue
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value if isinstance(value, str) else json.dumps(value)
    return found


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], marked: Sequence[bool] | None = None
) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join(
        f"<tr{' class=differs' if is_marked else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row, is_marked in zip(rows, marked or [False] * len(rows), strict=True)
    )
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'
