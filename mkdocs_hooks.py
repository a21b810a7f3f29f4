"""What the site does to a page before it is built."""

import re
from pathlib import PurePosixPath
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)\s]*)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:  # noqa: ANN401 - MkDocs hands its own objects
    """Links to files outside docs/ lead somewhere in a clone alone: the site shows their words."""
    folder = PurePosixPath(page.file.src_uri).parent
    return LINK.sub(lambda link: link[1] if leaves(folder, link[2]) else link[0], markdown)


def leaves(folder: PurePosixPath, target: str) -> bool:
    """Whether a relative link from a page in `folder` (within docs/) leads out of docs/."""
    depth = len(folder.parts)
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False
