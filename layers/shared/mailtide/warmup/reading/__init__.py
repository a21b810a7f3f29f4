"""Reading the pool's mailboxes: finding warm-up mail, moving it out of junk, marking it read, recording where it landed."""
