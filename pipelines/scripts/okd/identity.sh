#!/bin/bash
# What kind of machine this is, for whoever looks at one that was launched from the image. Run as root.
# ROLE, OKD_VERSION.
set -eu
umask 022
printf 'role=%s\nversion=%s\n' "$ROLE" "$OKD_VERSION" >/etc/okd-machine
rm -f /tmp/okd-requirements.txt
