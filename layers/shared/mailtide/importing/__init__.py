"""Files of others (CSV, Parquet) line by line, for contacts and suppressions. No numpy; pyarrow only for Parquet."""
