"""The world outside: S3, SQS, EventBridge, the Fly Machines API."""
