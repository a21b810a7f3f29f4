"""`python relocate.py ROOT`: let Dovecot, unpacked below ROOT, find its TLS module there.

Every other path can be configured; that of this module is compiled in. It becomes `modules`, relative to the folder in which
Dovecot runs (base_dir), where dovecot.py puts a link. Run by setup.sh with nothing but the standard library.
"""

import sys
from pathlib import Path

COMPILED_IN = b"\0/usr/lib/dovecot/modules\0"
RELATIVE = b"\0modules"


def relocate(root: Path) -> None:
    """Change the one place in the library. SystemExit with one line when this is another build of Dovecot."""
    library = root / "usr/lib/dovecot/libdovecot.so.0"
    content = library.read_bytes()
    if content.count(COMPILED_IN) != 1:
        raise SystemExit(f"mailtide: {library} is not the Dovecot that is known here")
    library.resolve().write_bytes(content.replace(COMPILED_IN, RELATIVE.ljust(len(COMPILED_IN), b"\0")))


if __name__ == "__main__":
    relocate(Path(sys.argv[1]))
