#!/bin/sh
# LocalStack runs this when it is ready: what the stack expects to find and does not make itself.
set -eu
awslocal secretsmanager create-secret --name mailtide/fly-token --secret-string "$FLY_TOKEN" >/dev/null ||
    awslocal secretsmanager put-secret-value --secret-id mailtide/fly-token --secret-string "$FLY_TOKEN" >/dev/null
