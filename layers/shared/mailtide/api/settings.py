"""The API's own settings, read from the environment once, validated, frozen."""

from functools import cache

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mailtide.errors import SettingsError


class ApiSettings(BaseSettings):
    """What template.yaml hands to the API beside the names that it shares with the other functions."""

    model_config = SettingsConfigDict(env_prefix="MAILTIDE_API_", frozen=True, extra="ignore", env_ignore_empty=True)

    tokens_secret: str = Field(
        default="mailtide/api-tokens", min_length=1, max_length=512, description="Secret that holds the API's tokens"
    )


@cache
def load_api_settings() -> ApiSettings:
    """The settings of this process. SettingsError."""
    try:
        return ApiSettings()
    except ValidationError as error:
        name = "_".join(str(part) for part in error.errors()[0]["loc"]).upper()
        raise SettingsError(f"The setting MAILTIDE_API_{name} is not usable.") from None
