#!/bin/sh
# Fly mounts a volume as root's. So a machine begins as root, hands the folder to its user, and is that user from then on.
set -eu
user=10001
if [ "$(id -u)" != 0 ]; then
    exec mailtide machine "$@"
fi
if [ -d "${MAILTIDE_CACHE_DIR:-}" ]; then
    chown "$user:$user" "$MAILTIDE_CACHE_DIR"
fi
exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs mailtide machine "$@"
