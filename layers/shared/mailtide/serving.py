"""The API, wired once per process, when it is first needed."""

from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import cache

from mailtide.adapters.token_secret import KeptTokens, TokenSecret, make_secrets_client
from mailtide.api.settings import load_api_settings
from mailtide.planning import mailboxes, planning
from mailtide.warmup.steering import Steering


@cache
def token_secret() -> TokenSecret:
    """The secret of the API's tokens. SettingsError."""
    return TokenSecret(make_secrets_client(), load_api_settings().tokens_secret)


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
def readers() -> Executor:
    """Threads that read objects side by side."""
    return ThreadPoolExecutor(16, thread_name_prefix="sheets")


def today() -> date:
    """The UTC day by this machine's clock: for the expiry of tokens."""
    return datetime.now(UTC).date()
