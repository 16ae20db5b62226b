#!/bin/bash
# Takes ccoctl, which is published in an image only, out of the release's image. Run as root.
# OCP_VERSION, PULL_SECRET_FILE
set -euo pipefail
umask 022

PATH=/usr/local/bin:$PATH
release=quay.io/openshift-release-dev/ocp-release:$OCP_VERSION-x86_64
image=$(oc adm release info --registry-config "$PULL_SECRET_FILE" --image-for cloud-credential-operator "$release")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
oc image extract --registry-config "$PULL_SECRET_FILE" --path "/usr/bin/ccoctl:$work" --confirm "$image"
install -m 0755 "$work/ccoctl" /usr/local/bin/ccoctl
ccoctl --help >/dev/null
