"""The Fly Machines API: a client, launches with adoption and fallback, and the host and the pool that use cases see."""

from mailtide.adapters.fly.client import FlyClient
from mailtide.adapters.fly.host import FlyMachineHost
from mailtide.adapters.fly.pool import FlyMachinePool
from mailtide.adapters.fly.retry import RetryPolicy
from mailtide.adapters.fly.wire import Timeouts

__all__ = ["FlyClient", "FlyMachineHost", "FlyMachinePool", "RetryPolicy", "Timeouts"]
