"""The HTTP API behind a function URL: one file a resource, one gate before all of them."""
