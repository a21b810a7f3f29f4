"""Whether a domain and its mail server let a mailbox's mail arrive: DNS records, the provider, the login."""
