"""The command line in this process, with nothing of the caller's environment."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from mailtide import bootstrap, settings
from mailtide.cli.main import main


@dataclass(frozen=True, slots=True)
class Done:
    """How a call ended."""

    code: int
    out: str
    err: str


type Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call `mailtide` with arguments. An exception that would be a traceback fails the test by itself."""
    for name in list(os.environ):
        if name.startswith(("MAILTIDE_", "AWS_", "FLY_")):
            monkeypatch.delenv(name)
    forget()

    def call(*arguments: object, **environment: str) -> Done:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["mailtide", *map(str, arguments)])
            code: object = 0
            try:
                main()
            except SystemExit as ended:
                code = ended.code
            finally:
                forget()
        out, err = capsys.readouterr()
        assert isinstance(code, int)
        return Done(code, out, err)

    return call


def forget() -> None:
    """Settings and clients are made once a process; here every call is one of its own."""
    for cached in (settings.load_settings, bootstrap.bucket, bootstrap.queues, bootstrap.services):
        cached.cache_clear()
