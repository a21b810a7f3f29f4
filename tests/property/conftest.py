"""Hypothesis profiles: `quick` by default, `fuzz` for thousands of cases (`make fuzz`)."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "quick",
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "fuzz",
    settings.get_profile("quick"),
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "5000")),
    derandomize=False,
    database=None,
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
