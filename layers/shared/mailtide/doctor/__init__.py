"""`mailtide doctor`: what a deployment should be like, as small checks of what stands there. They read, and change nothing."""
