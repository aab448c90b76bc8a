"""What `mkdocs.yml` cannot say: pages of files outside docs/, the API's sources, Colab's badges."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
# It is deleted when the process ends.
_SOURCES = tempfile.TemporaryDirectory()


# Before mkdocstrings reads its settings.
@event_priority(100)
def on_config(config: MkDocsConfig) -> None:
    """Lists pages, and copies the package as it is installed, with envs/ in it, for its API."""
    installed = Path(_SOURCES.name) / "jaxparl"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "jaxparl", installed, ignore=ignored)
    shutil.copytree(ROOT / "envs", installed / "envs", ignore=ignored)
    config.nav = _expanded(config.nav, Path(config.docs_dir))
    handlers: dict[str, Any] = config.plugins["mkdocstrings"].config.handlers
    handlers["python"]["paths"] = [_SOURCES.name]


def _expanded(nav: Any, docs: Path) -> Any:
    """The navigation with `folder/*.md` replaced by the pages of that folder, but its index."""
    if isinstance(nav, dict):
        return {title: _expanded(entry, docs) for title, entry in nav.items()}
    if not isinstance(nav, list):
        return nav
    expanded = []
    for entry in nav:
        if isinstance(entry, str) and "*" in entry:
            pages = sorted(page for page in docs.glob(entry) if page.name != "index.md")
            expanded += [page.relative_to(docs).as_posix() for page in pages]
        else:
            expanded.append(_expanded(entry, docs))
    return expanded


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Makes pages of the files at the top of the repository, which GitHub wants there."""
    for name in ("CONTRIBUTING", "CHANGELOG"):
        text = (ROOT / f"{name}.md").read_text()
        text = re.sub(r"\[([^]]+)\]\(LICENSE\)", r"\1", text).replace("](docs/", "](")
        files.append(File.generated(config, f"{name.lower()}.md", content=text))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts a badge on each notebook, where the repository has an address that Colab knows."""
    path = page.file.src_uri
    address = (config.repo_url or "").rstrip("/")
    if not path.endswith(".ipynb") or not address.startswith("https://github.com/"):
        return html
    opens = f"{address.replace('github.com', 'colab.research.google.com/github', 1)}"
    link = f'<a href="{opens}/blob/main/docs/{path}"><img src="{BADGE}" alt="Open in Colab"></a>'
    return f"<p>{link}</p>{html}"
