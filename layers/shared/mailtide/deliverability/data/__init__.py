"""Facts about mail providers."""
