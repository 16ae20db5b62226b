#!/bin/sh
# Refuses a source image that has not been hardened, before anything is built on it.
set -eu

if [ ! -e /etc/sysconfig/rh-quay-hardened ]; then
    echo "the source image lacks /etc/sysconfig/rh-quay-hardened: it was not made by the base stage" >&2
    exit 1
fi
