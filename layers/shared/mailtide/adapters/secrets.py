"""Secrets from AWS Secrets Manager, kept for five minutes."""

from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from pydantic import SecretStr

from mailtide.errors import SettingsError

MAX_AGE_S = 300


def read_secret(name: str) -> SecretStr:
    """The text of a secret. SettingsError names the secret that cannot be read, never its value."""
    try:
        return SecretStr(str(parameters.get_secret(name, max_age=MAX_AGE_S)).strip())
    except GetParameterError as error:
        raise SettingsError(f"The secret {name!r} cannot be read.") from error
