"""How much of what could be tried is tried: MAILTIDE_TEST_THOROUGH=1 takes all of it (some minutes)."""

import os

THOROUGH = bool(os.environ.get("MAILTIDE_TEST_THOROUGH"))
