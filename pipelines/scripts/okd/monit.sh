#!/bin/bash
# monit from its source: CentOS has none. Run as root.
# MONIT_VERSION: which.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
curl --fail --silent --show-error --location --output monit.tar.gz "https://mmonit.com/monit/dist/monit-$MONIT_VERSION.tar.gz"
tar --extract --gzip --file monit.tar.gz --strip-components 1
./configure --without-pam --without-ssl
make
make install
