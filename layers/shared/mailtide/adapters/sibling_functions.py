"""What the other functions of the stack were handed, for the one that shows it: a function's own variables have 4,096 bytes."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config

from mailtide.adapters.refusals import AwsRefusalError, refusals, usable_endpoint

log = logging.getLogger("mailtide.settings")

MAX_AGE_S = 300.0
OWN = "-api"
OTHERS = ("-launch-machine", "-plan-warmup", "-dispatch-shard", "-send-mail", "-read-mailboxes")
"""How template.yaml ends their names, which begin with the stack's."""
_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})


class SiblingFunctions:
    """Reads their configurations, and keeps them for five minutes."""

    def __init__(self, own_name: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """own_name: this function's, by default as Lambda says; elsewhere there are no others."""
        self._own_name = own_name or os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        self._clock = clock
        self._kept: tuple[float, Mapping[str, str]] | None = None

    def variables(self) -> Mapping[str, str]:
        """Name and text of every variable that any of them has; none where they cannot be asked. Never raises."""
        if not self._own_name.endswith(OWN):
            return {}
        now = self._clock()
        if self._kept is None or now >= self._kept[0] + MAX_AGE_S:
            try:
                self._kept = now, self._read()
            except AwsRefusalError as error:
                log.warning("The settings of the other functions cannot be shown: %s", error)
                return {}
        return self._kept[1]

    def _read(self) -> Mapping[str, str]:
        stack = self._own_name.removesuffix(OWN)
        found: dict[str, str] = {}
        with refusals(), usable_endpoint():
            client: Any = boto3.client("lambda", config=_CONFIG)
            for ending in OTHERS:
                told = client.get_function_configuration(FunctionName=f"{stack}{ending}")
                found |= told.get("Environment", {}).get("Variables", {})
        return found
