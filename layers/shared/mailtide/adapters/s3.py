"""The bucket on S3 or anything that speaks its language, with conditional writes."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import boto3
import stamina
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mailtide.adapters.refusals import PASSING, usable_endpoint
from mailtide.adapters.secrets import read_secret
from mailtide.errors import (
    BudgetExceededError,
    MailtideError,
    NotFoundError,
    SettingsError,
    SourceChangedError,
    StaleWriteError,
    TransientError,
)
from mailtide.ports import ObjectInfo, PresignedParts, StagedCopy, StoredObject
from mailtide.settings import load_storage_settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_OBJECT_BYTES = 32 * 1024 * 1024
COPY_PART_BYTES = 256 * 1024 * 1024
MAX_COPY_BYTES = 5 * 1024**3
"""The most that S3 copies in one request."""
_MISSING = {"404", "NoSuchKey", "NotFound"}
_STALE = {"412", "PreconditionFailed"}
_TRANSIENT = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "ThrottlingException"}


class ConflictError(TransientError):
    """409 ConditionalRequestConflict: two conditional requests met; S3 asks for another try."""


class BrokenOffError(TransientError):
    """The connection ended in the midst of an answer."""


def make_client(endpoint_url: str | None = None, *, connections: int = 10) -> "S3Client":
    """A client with time-outs, a few retries and SigV4 in presigned URLs. None: the endpoint of the settings, or the SDK's own.

    connections: kept open; a thread beyond them opens one for each request. SettingsError.
    """
    storage = load_storage_settings()
    endpoint_url = endpoint_url or storage.s3_endpoint_url or None
    keys = _credentials(storage.s3_credentials_secret)
    config = Config(
        signature_version="s3v4",
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 4},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"} if endpoint_url else {},
    )
    with usable_endpoint():
        return boto3.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=storage.s3_region or None,
            config=config,
            aws_access_key_id=keys.get("access_key_id"),
            aws_secret_access_key=keys.get("secret_access_key"),
        )


def _credentials(secret: str) -> dict[str, str]:
    """The keys that a secret holds; none without a secret. SettingsError, never with its value."""
    if not secret:
        return {}
    try:
        keys = json.loads(read_secret(secret).get_secret_value())
        found = {name: keys[name] for name in ("access_key_id", "secret_access_key")}
    except (ValueError, KeyError, TypeError):
        found = {}
    if not found or not all(isinstance(value, str) and value for value in found.values()):
        raise SettingsError(
            f"The secret {secret!r} must be JSON with access_key_id and secret_access_key, both of them text."
        )
    return found


def multipart_etag(part_etags: tuple[str, ...]) -> str:
    """The ETag of a completed multipart upload whose parts have MD5 ETags (SSE-S3 or none, not SSE-KMS)."""
    digest = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in part_etags), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(part_etags)}"


def raise_translated(error: Exception, what: str) -> NoReturn:
    """Translate a failure of the SDK by its code; what has no meaning here passes through."""
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _STALE:
            raise StaleWriteError(f"{what}: it has changed") from error
        if code == "ConditionalRequestConflict":
            raise ConflictError(f"{what}: conflicting request") from error
        if code in {*_MISSING, "NoSuchUpload"}:
            raise NotFoundError(f"{what}: not there") from error
        if code in _TRANSIENT or status >= 500:
            raise TransientError(f"{what}: {code or status}") from error
    if isinstance(error, PASSING):
        raise TransientError(f"{what}: {type(error).__name__}") from error
    raise error


class S3Bucket:
    """Implements mailtide.ports.Bucket."""

    def __init__(self, name: str, client: "S3Client", *, public_client: "S3Client | None" = None) -> None:
        """`public_client` signs URLs for the endpoint that machines see."""
        self.name = name
        self._s3 = client
        self._public = public_client or client

    @stamina.retry(on=ConflictError, attempts=5, wait_initial=0.05, wait_max=1.0)
    def _call(self, operation: str, key: str, **arguments: Any) -> Any:  # noqa: ANN401 - the SDK's own shapes
        try:
            return getattr(self._s3, operation)(Bucket=self.name, Key=key, **arguments)
        except (ClientError, BotoCoreError) as error:
            raise_translated(error, f"{operation} {key}")

    def head(self, key: str) -> ObjectInfo | None:
        """See mailtide.ports.Bucket."""
        try:
            answer = self._call("head_object", key)
        except NotFoundError:
            return None
        return ObjectInfo(
            key=key,
            etag=answer["ETag"].strip('"'),
            last_modified=_whole_seconds(answer["LastModified"]),
            size_bytes=answer["ContentLength"],
        )

    def put_file(self, key: str, path: Path, progress: Callable[[int], None] | None = None) -> None:
        """Store a file of any size; `progress` gets the number of bytes of each block that went out."""
        try:
            self._s3.upload_file(str(path), self.name, key, Callback=progress)
        except (ClientError, BotoCoreError) as error:
            raise_translated(error, f"upload {key}")
        except S3UploadFailedError as error:
            # The SDK wraps the refusal in a text of its own; what it stands for is the context.
            raise_translated(
                error.__context__ if isinstance(error.__context__, ClientError) else error, f"upload {key}"
            )

    def first_part_size(self, key: str, *, etag: str) -> int | None:
        """See mailtide.ports.Bucket."""
        try:
            answer = self._call("head_object", key, PartNumber=1, IfMatch=_quoted(etag))
        except (NotFoundError, StaleWriteError):
            raise SourceChangedError(f"{key} was replaced while it was being read") from None
        return int(answer["ContentLength"]) if int(answer.get("PartsCount", 0)) > 0 else None

    def get(self, key: str) -> StoredObject | None:
        """See mailtide.ports.Bucket."""
        try:
            answer, body = self._fetch(key, MAX_OBJECT_BYTES + 1)
        except NotFoundError:
            return None
        if len(body) > MAX_OBJECT_BYTES:
            raise BudgetExceededError(f"The object {key} is larger than {MAX_OBJECT_BYTES} bytes.")
        return StoredObject(
            body=body, etag=answer["ETag"].strip('"'), last_modified=_whole_seconds(answer["LastModified"])
        )

    def get_range(self, key: str, offset: int, length: int, *, etag: str) -> bytes:
        """See mailtide.ports.Bucket."""
        last = offset + length - 1
        try:
            _, body = self._fetch(key, length, Range=f"bytes={offset}-{last}", IfMatch=_quoted(etag))
        except (StaleWriteError, NotFoundError):
            raise SourceChangedError(f"{key} was replaced while it was being read") from None
        return body

    @stamina.retry(on=BrokenOffError, attempts=4, wait_initial=0.05, wait_max=1.0)
    def _fetch(self, key: str, most: int, **arguments: Any) -> tuple[Any, bytes]:  # noqa: ANN401 - the SDK's own shapes
        """The answer and its body, or the first `most` bytes of it.

        Asked for a number of bytes, the SDK takes a body that ends too early for a whole one.
        """
        answer = self._call("get_object", key, **arguments)
        try:
            with answer["Body"] as stream:
                body = bytes(stream.read(most))
        except BotoCoreError as error:
            raise BrokenOffError(f"get_object {key}: {type(error).__name__}") from error
        if len(body) < min(most, answer["ContentLength"]):
            raise BrokenOffError(f"get_object {key}: the answer broke off")
        return answer, body

    def create(self, key: str, body: bytes) -> str:
        """See mailtide.ports.Bucket."""
        answer = self._call("put_object", key, Body=body, IfNoneMatch="*", ContentType="application/json")
        return str(answer["ETag"]).strip('"')

    def replace(self, key: str, body: bytes, *, expected_etag: str) -> str:
        """See mailtide.ports.Bucket."""
        try:
            answer = self._call(
                "put_object", key, Body=body, IfMatch=_quoted(expected_etag), ContentType="application/json"
            )
        except NotFoundError as error:
            raise StaleWriteError(f"{key}: it is gone") from error
        return str(answer["ETag"]).strip('"')

    def delete(self, key: str) -> None:
        """See mailtide.ports.Bucket."""
        self._call("delete_object", key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See mailtide.ports.Bucket."""
        for page in self._pages(prefix):
            for entry in page.get("Contents", []):
                yield ObjectInfo(
                    key=entry["Key"],
                    etag=entry["ETag"].strip('"'),
                    last_modified=_whole_seconds(entry["LastModified"]),
                    size_bytes=entry["Size"],
                )

    def list_folders(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See mailtide.ports.Bucket."""
        # "0" comes right after "/": everything below the folder is passed over, and nothing else.
        start = {"StartAfter": f"{prefix}{after}0"} if after else {}
        for page in self._pages(prefix, Delimiter="/", **start):
            for entry in page.get("CommonPrefixes", []):
                yield entry["Prefix"].removeprefix(prefix).removesuffix("/")

    def _pages(self, prefix: str, **arguments: Any) -> Iterator[Any]:  # noqa: ANN401 - the SDK's own shapes
        try:
            paginator = self._s3.get_paginator("list_objects_v2")
            yield from paginator.paginate(Bucket=self.name, Prefix=prefix, **arguments)
        except (ClientError, BotoCoreError) as error:
            raise_translated(error, f"list {prefix}")

    def presign_get(self, key: str, *, expires_s: int, download_as: str | None = None) -> str:
        """See mailtide.ports.Bucket."""
        named = {"ResponseContentDisposition": f'attachment; filename="{download_as}"'} if download_as else {}
        return self._presign("get_object", key, expires_s, **named)

    def presign_put(self, key: str, *, expires_s: int, create_only: bool) -> str:
        """See mailtide.ports.Bucket."""
        return self._presign("put_object", key, expires_s, **({"IfNoneMatch": "*"} if create_only else {}))

    def presign_parts(self, key: str, *, parts: int, expires_s: int) -> PresignedParts:
        """See mailtide.ports.Bucket."""
        upload_id = str(self._call("create_multipart_upload", key)["UploadId"])
        return PresignedParts(
            put=tuple(
                self._presign("upload_part", key, expires_s, UploadId=upload_id, PartNumber=number)
                for number in range(1, parts + 1)
            ),
            complete=self._presign("complete_multipart_upload", key, expires_s, UploadId=upload_id),
        )

    def _presign(self, operation: str, key: str, expires_s: int, **conditions: str | int) -> str:
        parameters = {"Bucket": self.name, "Key": key, **conditions}
        return self._public.generate_presigned_url(operation, Params=parameters, ExpiresIn=expires_s)

    def copy(self, source_key: str, target_key: str, *, source_etag: str, size_bytes: int) -> str:
        """See mailtide.ports.Bucket."""
        if size_bytes > MAX_COPY_BYTES:
            staged = self.stage_copy(source_key, target_key, source_etag=source_etag, size_bytes=size_bytes)
            self._complete(target_key, staged)
            return staged.expected_etag
        source = {"Bucket": self.name, "Key": source_key}
        try:
            answer = self._call("copy_object", target_key, CopySource=source, CopySourceIfMatch=_quoted(source_etag))
        except NotFoundError as error:
            raise StaleWriteError(f"{source_key}: it is gone") from error
        etag = str(answer["CopyObjectResult"]["ETag"]).strip('"')
        # The condition is not honoured everywhere; the digest of what was copied tells as well.
        if "-" not in source_etag and etag != source_etag:
            raise StaleWriteError(f"{source_key}: it has changed")
        return etag

    def stage_copy(self, source_key: str, target_key: str, *, source_etag: str, size_bytes: int) -> StagedCopy:
        """See mailtide.ports.Bucket."""
        upload_id = str(self._call("create_multipart_upload", target_key)["UploadId"])
        try:
            parts = tuple(
                self._copy_part(source_key, target_key, upload_id, source_etag, number, start, size_bytes)
                for number, start in enumerate(range(0, size_bytes, COPY_PART_BYTES), start=1)
            )
        except MailtideError:
            self.abort_copy(target_key, upload_id)
            raise
        return StagedCopy(upload_id=upload_id, part_etags=parts, expected_etag=multipart_etag(parts))

    def _copy_part(
        self, source_key: str, target_key: str, upload_id: str, source_etag: str, number: int, start: int, size: int
    ) -> str:
        try:
            answer = self._call(
                "upload_part_copy",
                target_key,
                CopySource={"Bucket": self.name, "Key": source_key},
                CopySourceIfMatch=_quoted(source_etag),
                CopySourceRange=f"bytes={start}-{min(start + COPY_PART_BYTES, size) - 1}",
                PartNumber=number,
                UploadId=upload_id,
            )
        except NotFoundError as error:
            raise StaleWriteError(f"{source_key}: it is gone") from error
        return str(answer["CopyPartResult"]["ETag"]).strip('"')

    def complete_copy(self, target_key: str, staged: StagedCopy, *, expected_etag: str) -> None:
        """See mailtide.ports.Bucket."""
        self._complete(target_key, staged, IfMatch=_quoted(expected_etag))

    def _complete(self, target_key: str, staged: StagedCopy, **conditions: str) -> None:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(staged.part_etags, start=1)]
        uploaded: Any = {"Parts": parts}
        self._call(
            "complete_multipart_upload", target_key, UploadId=staged.upload_id, MultipartUpload=uploaded, **conditions
        )

    def abort_copy(self, target_key: str, upload_id: str) -> None:
        """See mailtide.ports.Bucket."""
        try:
            self._call("abort_multipart_upload", target_key, UploadId=upload_id)
        except NotFoundError:
            return


def _quoted(etag: str) -> str:
    """An ETag as the header wants it (RFC 9110, 8.8.3); S3 itself takes it bare as well, others do not."""
    return f'"{etag}"'


def _whole_seconds(moment: datetime) -> datetime:
    """HEAD and listings differ below the second; comparisons need one of them."""
    return moment.replace(microsecond=0)
