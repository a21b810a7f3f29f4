"""What the AWS SDK raises on its own (no credentials, no region, access denied), in words."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from mailtide.errors import MailtideError


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
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise AwsRefusalError(f"AWS refused {error.operation_name}: {code}.") from None
    except BotoCoreError as error:
        raise AwsRefusalError(f"AWS could not be asked: {type(error).__name__}.") from None
