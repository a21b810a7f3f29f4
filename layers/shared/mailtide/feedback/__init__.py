"""What became of the mails, from files of whatever sends them, into the database."""
