#!/bin/bash
# OpenShift's client into the login user's own folder.
# OKD_VERSION: which.
set -eu
mkdir -p "$HOME/bin"
case $OKD_VERSION in
3.11) release=v3.11.0 build=openshift-origin-client-tools-v3.11.0-0cbc58b-linux-64bit ;;
3.9) release=v3.9.0 build=openshift-origin-client-tools-v3.9.0-191fece-linux-64bit ;;
*) echo "no client is known for OKD $OKD_VERSION" >&2; exit 2 ;;
esac
url=https://github.com/openshift/origin/releases/download/$release/$build.tar.gz
curl --fail --silent --show-error --location "$url" | tar --extract --gzip --strip-components 1 --directory "$HOME/bin"
