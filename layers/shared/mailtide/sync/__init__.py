"""A local file and the published version of an organisation's database: brought together with few bytes moved."""
