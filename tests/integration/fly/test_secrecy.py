"""The token and the presigned URLs in a machine's environment show up in no error, log or repr."""

import logging
import traceback

import pytest
from pydantic import SecretStr

from localstack.fly.faults import Dropped, FaultClient, RateLimited, ServerError, TimeOut, Unauthorized
from localstack.fly.server import Running
from mailtide.adapters.fly import FlyClient, FlyMachineHost
from mailtide.adapters.fly.errors import FlyAuthError
from mailtide.errors import FlyError
from tests.integration.fly.conftest import QUICK, TOKEN, wanted
from tests.integration.fly.judge import JudgingTransport

SECRET_URL = "https://bucket.example/task.json?X-Amz-Signature=secret-signature"
SECRETS = (TOKEN, "fm2_secret", "secret-signature")


def shown(error: BaseException) -> str:
    """All that an error reporter would show, local variables of every frame of ours included."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    lines = []
    for frame in told.stack:
        if "mailtide" in frame.filename:
            lines += [f"{name}={value}" for name, value in (frame.locals or {}).items()]
    return "\n".join([repr(error), str(error), *traceback.format_exception(error), *lines])


@pytest.mark.parametrize(
    "fault",
    [
        ServerError(action="create", count=None),
        RateLimited(action="create", count=None),
        Dropped(action="create", count=None),
        TimeOut(action="create", count=None),
        Unauthorized(action="create", count=None),
    ],
)
def test_no_error_shows_a_secret(
    fault: ServerError | RateLimited | Dropped | TimeOut | Unauthorized,
    impatient: FlyClient,
    faults: FaultClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    faults.plant(fault)
    with pytest.raises(FlyError) as caught:
        FlyMachineHost(impatient).create(wanted(env={"TASK_URL": SECRET_URL}))
    everything = shown(caught.value) + "\n".join(
        f"{record.getMessage()} {record.__dict__}" for record in caplog.records
    )
    assert not [secret for secret in SECRETS if secret in everything]


def test_no_repr_shows_a_secret(client: FlyClient) -> None:
    request = wanted(env={"TASK_URL": SECRET_URL})
    created = FlyMachineHost(client).create(request)
    lease = client.acquire_lease(created.id, ttl_s=1)
    everything = f"{client!r} {vars(client)!r} {request!r} {created!r} {client.get(created.id)!r} {lease!r}"
    assert not [secret for secret in (*SECRETS, lease.nonce) if secret in everything]
    client.release_lease(created.id, lease.nonce)


def test_a_wrong_token_is_an_auth_error(server: Running, transport: JudgingTransport) -> None:
    wrong = FlyClient("any", SecretStr("wrong"), base_url=server.base_url, retry=QUICK, transport=transport)
    with pytest.raises(FlyAuthError, match="401"):
        wrong.machines()
