"""What checks are told of a deployment, and whom they ask. No secrets pass here but the one that is asked for by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the stack."""

    logical: str
    kind: str
    """As in the template, such as AWS::SQS::Queue."""
    physical: str


@dataclass(frozen=True, slots=True)
class StackFacts:
    """The deployed stack. parameters: by name, as they were given."""

    name: str
    status: str
    parameters: Mapping[str, str]
    resources: tuple[Resource, ...]

    def of_kind(self, kind: str) -> list[Resource]:
        """The resources of a kind, in the order of their names."""
        return sorted((one for one in self.resources if one.kind == kind), key=lambda one: one.logical)

    def physical(self, logical: str) -> str | None:
        """Id of a resource, None without one."""
        return next((one.physical for one in self.resources if one.logical == logical), None)


@dataclass(frozen=True, slots=True)
class BucketFacts:
    """How a bucket is set up. None or empty: that was never set up, or the host knows no such thing."""

    versioning: str | None
    sends_events: bool
    lifecycle_rules: tuple[str, ...]
    """Ids of those that are enabled."""
    encryption: str | None
    """aws:kms, AES256, …"""
    policy: Mapping[str, Any]
    is_closed_to_the_public: bool


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """One queue. visibility_s: how long a message that was handed out stays hidden."""

    arn: str
    visibility_s: int
    waiting: int
    dead_letters_arn: str | None
    max_receives: int | None


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table. ttl_field: None when nothing expires."""

    status: str
    on_demand: bool
    ttl_field: str | None


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """One function. environment: it holds names of secrets, never their values."""

    name: str
    state: str
    update_status: str
    timeout_s: int
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class MappingFacts:
    """A queue that wakes a function."""

    function_arn: str
    queue_arn: str
    state: str
    reports_failed_items: bool


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """An EventBridge rule and where it leads."""

    state: str
    targets: tuple[str, ...]


class Site(Protocol):
    """A deployment, read-only. Methods raise MailtideError when it cannot be asked; None stands for what does not exist."""

    def identity(self) -> str:
        """Who asks: the ARN of the credentials."""

    def stack(self) -> StackFacts | None:
        """The stack."""

    def bucket_facts(self, bucket: str) -> BucketFacts | None:
        """How a bucket is set up."""

    def bucket_time(self, bucket: str) -> datetime | None:
        """The time by the bucket's clock, in whole seconds."""

    def queue(self, url: str) -> QueueFacts | None:
        """One queue."""

    def table(self, name: str) -> TableFacts | None:
        """One table."""

    def function(self, name: str) -> FunctionFacts | None:
        """One function."""

    def mappings(self) -> list[MappingFacts]:
        """Every queue that wakes a function of this account and region."""

    def rule(self, name: str) -> RuleFacts | None:
        """One rule."""

    def key_state(self, key_id: str) -> str | None:
        """State of a KMS key: Enabled, Disabled, PendingDeletion, …"""

    def secret(self, name: str) -> SecretStr | None:
        """The value of a secret."""


class FlyApp(Protocol):
    """The app that owns the machines, and the registry of their image."""

    def machines(self) -> int:
        """How many live there. FlyError when the token is wrong, or there is no such app."""

    def has_image(self, image: str) -> bool | None:
        """Whether the registry has it; None when the registry does not tell."""
