"""What runs on a Fly machine: fetch, pass, deliver."""
