"""The scheduling rules: the rules file, and pure array functions from a database's columns to its desired rows."""
