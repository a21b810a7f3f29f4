"""`mailtide …`: the use cases of the package, for people."""
