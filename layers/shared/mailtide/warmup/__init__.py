"""The warm-up half: mailboxes of consenting owners write to each other, a little more each day."""
