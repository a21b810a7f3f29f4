"""The bucket, and the clock of whoever asks."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from mailtide.doctor.facts import BucketFacts
from mailtide.doctor.finding import Finding, broken, ok, or_ok, warning

LIFECYCLE_RULES = (
    *("abandoned-uploads", "old-databases", "old-runs", "old-changesets", "old-exports"),
    *("old-warmup-days", "closed-markers"),
)
DEPLOY = "deploy the template again (make deploy), and change nothing of it by hand"
_SKEW_WARNING_S, _SKEW_BROKEN_S = 60, 300


def bucket_checks(name: str, facts: BucketFacts | None, *, is_elsewhere: bool) -> list[Finding]:
    """How the bucket is set up. is_elsewhere: it is none of AWS', so that events come by webhook."""
    if facts is None:
        elsewhere = "set MAILTIDE_S3_ENDPOINT_URL, _S3_REGION and _S3_CREDENTIALS_SECRET here as the stack has them"
        todo = elsewhere if is_elsewhere else f"{DEPLOY}, or mend MAILTIDE_BUCKET"
        return [broken("bucket", name, f"There is no bucket {name}.", todo)]
    found = list(_of_any_host(name, facts))
    if not is_elsewhere:
        found += _of_aws(name, facts)
    return or_ok("bucket", found, f"{name} keeps versions, sends events, encrypts, and is closed to the public.")


def _of_any_host(name: str, facts: BucketFacts) -> Iterable[Finding]:
    if facts.versioning != "Enabled":
        what = f"{name} keeps no versions: a database that is replaced by mistake is gone."
        yield broken("bucket versions", name, what, f"{DEPLOY}, or aws s3api put-bucket-versioning")
    if facts.encryption is not None and facts.encryption != "AES256":
        what = f"{name} encrypts with {facts.encryption}: ETags are no MD5 digests then, and publishing goes by them."
        yield broken("bucket encryption", name, what, "set SSE-S3 (AES256) as the default encryption")


def _of_aws(name: str, facts: BucketFacts) -> Iterable[Finding]:
    if not facts.sends_events:
        what = f"{name} sends no events to EventBridge: uploads are noticed by the watcher alone, minutes later."
        yield broken("bucket events", name, what, f"{DEPLOY}, or turn EventBridge on among the bucket's properties")
    if facts.encryption is None:
        yield warning("bucket encryption", name, f"{name} has no default encryption.", DEPLOY)
    if not denies_plain_http(facts.policy):
        what = f"The policy of {name} lets requests without TLS in."
        yield broken("bucket policy", name, what, f"{DEPLOY}: the statement TlsOnly is missing")
    if not facts.is_closed_to_the_public:
        what = f"{name} may be opened to the public: the block of public access is not complete."
        yield broken("bucket policy", name, what, "block all public access of the bucket")
    missing = sorted(set(LIFECYCLE_RULES) - set(facts.lifecycle_rules))
    if missing:
        what = f"{name} does not clear up after itself: lifecycle rules missing or off: {', '.join(missing)}."
        yield warning("bucket lifecycle", name, what, DEPLOY)


def denies_plain_http(policy: Mapping[str, Any]) -> bool:
    """Whether a bucket policy refuses everybody who asks without TLS."""
    return any(
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and str(statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport", "")).lower() == "false"
        for statement in policy.get("Statement", ())
    )


def clock_check(theirs: datetime | None, ours: datetime) -> Finding:
    """This computer's clock against the bucket's, which tells whole seconds."""
    if theirs is None:
        return warning("clock", "", "The bucket does not tell the time.", "compare the clock with another source")
    off_s = (ours - theirs).total_seconds()
    what = f"The clock of this computer is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the bucket's."
    if abs(off_s) > _SKEW_BROKEN_S:
        todo = "set the clock (NTP): requests are refused from 15 minutes on, and locks and time-outs go by clocks"
        return broken("clock", "", what, todo)
    if abs(off_s) > _SKEW_WARNING_S:
        return warning("clock", "", what, "set the clock (NTP)")
    return ok("clock", "It agrees with the bucket's.")
