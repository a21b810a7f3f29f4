"""A multipart upload whose parts come from a file here or from an object that stands in the bucket already."""

from typing import TYPE_CHECKING, Any

import stamina
from botocore.exceptions import BotoCoreError, ClientError

from mailtide.adapters.s3 import raise_translated
from mailtide.errors import NotFoundError, StaleWriteError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Parts:
    """Implements mailtide.sync.push.Parts."""

    def __init__(self, name: str, client: "S3Client") -> None:
        self._name, self._s3 = name, client

    @stamina.retry(on=TransientError, attempts=4, wait_initial=0.2, wait_max=2.0)
    def _call(self, operation: str, key: str, **arguments: Any) -> Any:  # noqa: ANN401 - the SDK's own shapes
        try:
            return getattr(self._s3, operation)(Bucket=self._name, Key=key, **arguments)
        except (ClientError, BotoCoreError) as error:
            raise_translated(error, f"{operation} {key}")

    def begin(self, key: str) -> str:
        """See mailtide.sync.push.Parts."""
        return str(self._call("create_multipart_upload", key)["UploadId"])

    def put(self, key: str, upload_id: str, number: int, body: bytes) -> str:
        """See mailtide.sync.push.Parts."""
        return _etag(self._call("upload_part", key, UploadId=upload_id, PartNumber=number, Body=body))

    def copy(
        self, key: str, upload_id: str, number: int, *, source_key: str, source_etag: str, start: int, length: int
    ) -> str:
        """See mailtide.sync.push.Parts."""
        try:
            answer = self._call(
                "upload_part_copy",
                key,
                UploadId=upload_id,
                PartNumber=number,
                CopySource={"Bucket": self._name, "Key": source_key},
                CopySourceIfMatch=f'"{source_etag}"',
                CopySourceRange=f"bytes={start}-{start + length - 1}",
            )
        except NotFoundError as error:
            raise StaleWriteError(f"{source_key}: it is gone") from error
        return _etag(answer["CopyPartResult"])

    def complete(self, key: str, upload_id: str, part_etags: list[str], *, expected_etag: str | None) -> str:
        """See mailtide.sync.push.Parts."""
        condition = {"IfNoneMatch": "*"} if expected_etag is None else {"IfMatch": f'"{expected_etag}"'}
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(part_etags, start=1)]
        uploaded: Any = {"Parts": parts}
        try:
            answer = self._call(
                "complete_multipart_upload", key, UploadId=upload_id, MultipartUpload=uploaded, **condition
            )
        except NotFoundError as error:
            raise StaleWriteError(f"{key}: it is gone") from error
        return _etag(answer)

    def abort(self, key: str, upload_id: str) -> None:
        """See mailtide.sync.push.Parts."""
        try:
            self._call("abort_multipart_upload", key, UploadId=upload_id)
        except NotFoundError:
            return


def _etag(answer: dict[str, Any]) -> str:
    return str(answer["ETag"]).strip('"')
