"""The bucket for people's commands: its kept versions, and whole files on condition. No function uses this."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mailtide.adapters.s3 import COPY_PART_BYTES, S3Bucket
from mailtide.errors import MailtideError, NotFoundError, StaleWriteError
from mailtide.ports import VersionInfo

PUT_PART_BYTES = 64 * 1024 * 1024
_BLOCK_BYTES = 1024 * 1024
_NO_VERSIONS = {"NotImplemented", "MethodNotAllowed", "NotSupported"}


class VersionedS3Bucket(S3Bucket):
    """Implements mailtide.ports.VersionedBucket."""

    def versions(self, prefix: str) -> Iterator[VersionInfo]:
        """See mailtide.ports.VersionedBucket."""
        try:
            for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=prefix):
                for entry in page.get("Versions", []):
                    yield _version(entry, is_marker=False)
                for marker in page.get("DeleteMarkers", []):
                    yield _version(marker, is_marker=True)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _NO_VERSIONS:
                raise

    def delete_version(self, key: str, version_id: str) -> None:
        """See mailtide.ports.VersionedBucket."""
        self._call("delete_object", key, VersionId=version_id)

    def fetch(self, key: str, path: Path, *, etag: str) -> None:
        """See mailtide.ports.VersionedBucket."""
        try:
            answer = self._call("get_object", key, IfMatch=f'"{etag}"')
        except (NotFoundError, StaleWriteError):
            raise StaleWriteError(f"{key} has changed") from None
        with answer["Body"] as stream, path.open("wb") as file:
            while block := stream.read(_BLOCK_BYTES):
                file.write(block)

    def put_whole(self, key: str, path: Path, *, expected_etag: str) -> str:
        """See mailtide.ports.VersionedBucket."""
        if path.stat().st_size <= PUT_PART_BYTES:
            return self.replace(key, path.read_bytes(), expected_etag=expected_etag)
        upload_id = str(self._call("create_multipart_upload", key)["UploadId"])
        try:
            parts: list[Any] = []
            with path.open("rb") as file:
                while block := file.read(PUT_PART_BYTES):
                    number = len(parts) + 1
                    answer = self._call("upload_part", key, UploadId=upload_id, PartNumber=number, Body=block)
                    parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            return self._finish(key, upload_id, parts, expected_etag)
        except MailtideError:
            self.abort_copy(key, upload_id)
            raise

    def restore_version(self, version: VersionInfo, *, expected_etag: str | None) -> str:
        """See mailtide.ports.VersionedBucket."""
        upload_id = str(self._call("create_multipart_upload", version.key)["UploadId"])
        source = {"Bucket": self.name, "Key": version.key, "VersionId": version.version_id}
        try:
            parts = []
            for number, start in enumerate(range(0, version.size_bytes, COPY_PART_BYTES), start=1):
                last = min(start + COPY_PART_BYTES, version.size_bytes) - 1
                answer = self._call(
                    "upload_part_copy", version.key, CopySource=source, CopySourceRange=f"bytes={start}-{last}",
                    PartNumber=number, UploadId=upload_id,
                )  # fmt: skip
                parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
            return self._finish(version.key, upload_id, parts, expected_etag)
        except MailtideError:
            self.abort_copy(version.key, upload_id)
            raise

    def _finish(self, key: str, upload_id: str, parts: list[Any], expected_etag: str | None) -> str:
        condition = {"IfNoneMatch": "*"} if expected_etag is None else {"IfMatch": f'"{expected_etag}"'}
        uploaded: Any = {"Parts": parts}
        answer = self._call("complete_multipart_upload", key, UploadId=upload_id, MultipartUpload=uploaded, **condition)
        return str(answer["ETag"]).strip('"')


def _version(entry: Any, *, is_marker: bool) -> VersionInfo:  # noqa: ANN401 - the SDK's own shapes
    return VersionInfo(
        key=entry["Key"],
        version_id=entry["VersionId"],
        etag=str(entry.get("ETag", "")).strip('"'),
        last_modified=entry["LastModified"],
        size_bytes=int(entry.get("Size", 0)),
        is_latest=bool(entry["IsLatest"]),
        is_marker=is_marker,
    )
