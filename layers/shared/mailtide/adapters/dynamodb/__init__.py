"""The warm-up's tables on DynamoDB: ledger, limits, mailboxes."""
