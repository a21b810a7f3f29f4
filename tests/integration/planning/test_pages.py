"""The commands of the page about the warm-up, typed as they stand."""

from pathlib import Path

import boto3

from mailtide.warmup.contracts import WarmupTick
from tests.integration.planning.test_handlers import CREDENTIALS, Deployed, mailbox
from tests.support import dynamodb
from tests.support.consoles import base_env, play, shim
from tests.support.pages import API, steps_at

MAILBOXES = (
    "mailbox_id,user_id,address,smtp_host,smtp_port,smtp_security,password,window,timezone\n"
    "anna-1,acme,anna@acme.example,smtp.acme.example,587,starttls,its password,08:00-18:00,Europe/Berlin\n"
)


def test_the_page_typed_as_it_stands(ministack: str, tmp_path: Path) -> None:
    deployed = Deployed(ministack)
    deployed.mailboxes.put_many([mailbox(number) for number in range(9)])
    (tmp_path / "mailboxes.csv").write_text(MAILBOXES)
    (tmp_path / "socket").mkdir()
    kms = boto3.client("kms", endpoint_url=ministack, **CREDENTIALS)
    own = {
        "MAILTIDE_SECRETS_KMS_KEY_ID": kms.create_key()["KeyMetadata"]["KeyId"],
        "MAILTIDE_LIMITS_TABLE": dynamodb.create_limits_table(dynamodb.client_of(ministack)),
    }
    assert deployed.invoke("plan_warmup", WarmupTick().model_dump_json())[0] == []
    with shim(tmp_path / "socket") as command:
        # The first one belongs to the demo of the page, as a part of what it prints.
        steps = [step for step in steps_at(API, "warmup.md") if ".local/" not in step.command]
        play(steps, tmp_path, deployed.environment | base_env(command) | own)
    assert (tmp_path / "copy.csv").read_text().count("\n") == 11
    assert deployed.delayed("plan") == 1
