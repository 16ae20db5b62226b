#!/bin/bash
# Where jobs find and put what is cached. Run as root.
set -eu
umask 022
mkdir -p /var/cache/ci
# Every job's user writes here, as into /tmp.
chmod 1777 /var/cache/ci
