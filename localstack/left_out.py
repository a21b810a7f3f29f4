"""What template.yaml says and MiniStack's CloudFormation leaves out: lifecycle rules of the bucket, and what tables forget."""

from collections.abc import Callable, Mapping
from typing import Any

from deploy.aws.template import load_template, resources

_SAME = ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")


def apply_what_is_left_out(client: Callable[[str], Any], physical: Mapping[str, str]) -> None:
    """Set it as CloudFormation would. client: of a service, by its name; physical: names of resources by logical ones."""
    template = load_template()
    for name, bucket in resources(template, "AWS::S3::Bucket").items():
        rules = [_rule(one) for one in bucket.get("LifecycleConfiguration", {}).get("Rules", ())]
        if rules and name in physical:
            client("s3").put_bucket_lifecycle_configuration(
                Bucket=physical[name], LifecycleConfiguration={"Rules": rules}
            )
    for name, table in resources(template, "AWS::DynamoDB::Table").items():
        wanted = table.get("TimeToLiveSpecification")
        if wanted and name in physical:
            client("dynamodb").update_time_to_live(TableName=physical[name], TimeToLiveSpecification=wanted)


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as the S3 API takes it, from one as CloudFormation does."""
    expiry = {"Days": rule.get("ExpirationInDays"), "ExpiredObjectDeleteMarker": rule.get("ExpiredObjectDeleteMarker")}
    known = {name: value for name, value in expiry.items() if value is not None}
    return {
        "ID": rule["Id"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
        **{name: rule[name] for name in _SAME if name in rule},
        **({"Expiration": known} if known else {}),
    }
