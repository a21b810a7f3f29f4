"""`mailtide runs show`: what became of feedback."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailtide.contracts import Done, FeedbackReport, FoldedFile
from mailtide.runs import keys
from tests.integration.cli.conftest import BUCKET, Shell

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RUN = "0123456789abcdef0123"


def test_files_counts_and_bad_lines_are_shown(shell: Shell, s3: "S3Client") -> None:
    files = tuple(
        FoldedFile(name=f"{day:02}.jsonl", lines=5, applied=3, unchanged=1, refused=1) for day in range(1, 33)
    )
    problems = ("01.jsonl, line 4: state must be one of sent, [bold]delivered[/bold].",)
    told = FeedbackReport(files=files, known=2, left=("a.csv",), waiting=7, refused=32, problems=problems)
    done = Done(
        org="acme", run=RUN, status="published", finished_at=datetime.now(UTC),
        report={"contacts": 10, "feedback": told.model_dump(mode="json")},
    )  # fmt: skip
    s3.put_object(Bucket=BUCKET, Key=keys.done("acme", RUN), Body=done.to_bytes())
    shown = shell.run("runs", "show", "acme", RUN, COLUMNS="200").out
    for words in (
        "30.jsonl", problems[0], "2 more files folded in", "2 files that the database had",
        "1 files replaced meanwhile, left for the next run", "7 files waiting for the next run",
        "and 31 more refused lines",
    ):  # fmt: skip
        assert words in shown
    assert "31.jsonl" not in shown
