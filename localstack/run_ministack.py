"""`python -P run_ministack.py SITE_PACKAGES` starts MiniStack from its own environment with another interpreter.

MiniStack runs functions with the interpreter that runs itself. Started like this, with the interpreter of an empty
environment, functions see the standard library and their layers and nothing that only the emulator has.
"""

import runpy
import site
import sys

if __name__ == "__main__":
    site.addsitedir(sys.argv.pop(1))
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)
