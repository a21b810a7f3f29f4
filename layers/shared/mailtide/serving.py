"""The API, wired once per process, when it is first needed."""

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import cache

from mailtide.adapters.dynamodb import hours
from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.table import Table, make_dynamodb_client
from mailtide.adapters.sibling_functions import SiblingFunctions
from mailtide.adapters.token_secret import KeptTokens, TokenSecret, make_secrets_client
from mailtide.api.kept import KeptObjects
from mailtide.api.run_facts import RunReader
from mailtide.api.settings import load_api_settings
from mailtide.bootstrap import bucket
from mailtide.planning import mailboxes, planning
from mailtide.warmup.settings import load_warmup_resources
from mailtide.warmup.steering import Steering


@cache
def token_secret() -> TokenSecret:
    """The secret of the API's tokens. SettingsError."""
    return TokenSecret(make_secrets_client(), load_api_settings().tokens_secret)


@cache
def other_functions() -> SiblingFunctions:
    """What the stack's other functions were handed."""
    return SiblingFunctions()


@cache
def kept_tokens() -> KeptTokens:
    """The tokens, at most a minute old."""
    return KeptTokens(token_secret())


@cache
def steering() -> Steering:
    """What carries out orders. SettingsError."""
    own = planning()
    return Steering(
        bucket=own.bucket,
        mailboxes=mailboxes(),
        rosters=own.rosters,
        queue=own.queue,
        clock=own.clock,
        settings=own.settings,
    )


@cache
def run_reader() -> RunReader:
    """What reads the runs. SettingsError."""
    return RunReader(bucket(), KeptObjects())


@cache
def _limits_table() -> Table:
    return Table(load_warmup_resources().required("limits_table"), make_dynamodb_client(), ServerClock())


def begun_by_hour(wanted: Sequence[int]) -> dict[int, int]:
    """Mails that were begun in each of these hours (mailtide.adapters.dynamodb.hours). SettingsError."""
    return hours.begun_by_hour(_limits_table(), wanted)


@cache
def readers() -> Executor:
    """Threads that read objects side by side."""
    return ThreadPoolExecutor(16, thread_name_prefix="sheets")


def today() -> date:
    """The UTC day by this machine's clock: for the expiry of tokens."""
    return datetime.now(UTC).date()
