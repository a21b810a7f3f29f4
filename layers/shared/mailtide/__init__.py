"""mailtide decides, for every contact, which mail goes out on which day, and warms up the mailboxes that send it."""

__version__ = "0.1.0"
