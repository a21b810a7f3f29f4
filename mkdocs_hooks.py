"""What the site does to a page before it is built."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)\s]*)\)")


DRAWS = Path(__file__).parent / ".tools/mermaid/mermaid.min.js"
"""What draws diagrams: `make site` fetches it once; without it the theme takes it from another host."""
DRAWS_AT = "assets/javascripts/mermaid.min.js"
NATURAL_SIZE = """
{
  const initialize = mermaid.initialize;
  const natural = { useMaxWidth: false };
  mermaid.initialize = (given) =>
    initialize({ ...given, flowchart: natural, state: natural, sequence: { ...given.sequence, ...natural } });
}
"""
"""A wide diagram is scrolled (docs/site.css), and not made so small that nobody can read it."""


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:  # noqa: ANN401 - MkDocs hands its own objects
    """Links to files outside docs/ lead somewhere in a clone alone: the site shows their words."""
    folder = PurePosixPath(page.file.src_uri).parent
    return LINK.sub(lambda link: link[1] if leaves(folder, link[2]) else link[0], markdown)


def on_post_page(output: str, *, page: Any, **_: object) -> str:  # noqa: ANN401
    """A page with diagrams brings along what draws them, before the theme looks for it."""
    if 'class="mermaid"' not in output or not DRAWS.exists():
        return output
    up = "../" * (len(PurePosixPath(page.file.dest_uri).parts) - 1)
    return output.replace("</head>", f'<script src="{up}{DRAWS_AT}"></script></head>', 1)


def on_post_build(config: Any, **_: object) -> None:  # noqa: ANN401
    """Puts it where the pages look for it."""
    if DRAWS.exists():
        program = DRAWS.read_text(encoding="utf-8")
        (Path(config.site_dir) / DRAWS_AT).write_text(program + NATURAL_SIZE, encoding="utf-8")


def leaves(folder: PurePosixPath, target: str) -> bool:
    """Whether a relative link from a page in `folder` (within docs/) leads out of docs/."""
    depth = len(folder.parts)
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False
