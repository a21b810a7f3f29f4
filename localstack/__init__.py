"""The whole of mailtide on one computer: MiniStack or LocalStack for AWS, a Fly Machines server, and a demonstration."""
