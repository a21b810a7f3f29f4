"""SQLite in and out: open files that nobody vouches for, read columns, write differences."""
