"""What the AWS SDK raises on its own (no credentials, no region, access denied), in words."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from mailtide.errors import MailtideError, SettingsError

PASSING = (exceptions.ConnectionError, exceptions.HTTPClientError)
"""What the SDK raises when the other side does not answer: a later try may succeed."""


class AwsRefusalError(MailtideError):
    """AWS cannot be asked, or says no."""


@contextmanager
def refusals() -> Iterator[None]:
    """Raise AwsRefusalError in place of the SDK's own errors."""
    try:
        yield
    except NoCredentialsError:
        raise AwsRefusalError("No AWS credentials were found: set AWS_PROFILE or AWS_ACCESS_KEY_ID.") from None
    except NoRegionError:
        raise AwsRefusalError("No AWS region is set: set AWS_REGION.") from None
    except ClientError as error:
        details = error.response.get("Error", {})
        said = " ".join(str(details.get("Message", "")).split()).rstrip(".")
        code = details.get("Code", "unknown")
        raise AwsRefusalError(f"AWS refused {error.operation_name}: {f'{said} ({code})' if said else code}.") from None
    except BotoCoreError as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise AwsRefusalError(f"AWS could not be asked: {said}.") from None


@contextmanager
def usable_endpoint() -> Iterator[None]:
    """Around the making of a client: the SDK refuses an impossible endpoint with a bare ValueError."""
    try:
        yield
    except ValueError:
        raise SettingsError("The endpoint (AWS_ENDPOINT_URL) is not a web address like https://host.") from None
