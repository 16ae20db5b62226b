#!/bin/bash
# Copies the release, the operators and the images of the imageset into ~/archives. Takes an hour or more, and says
# little meanwhile. Run as the login user; wants ~/pull-secret.json and ~/imageset-config.yaml.
set -euo pipefail
# Archives are read by the registry's installer, which is another user.
umask 022

PATH=/usr/local/bin:$PATH
cd "$HOME"
# Where oc-mirror looks for credentials; gone with the session, and removed before that.
credentials=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/containers
(umask 077 && mkdir -p "$credentials" && cp pull-secret.json "$credentials/auth.json")
trap 'rm -f "$credentials/auth.json"' EXIT

oc-mirror --config imageset-config.yaml file://archives
test -s archives/mirror_seq1_000000.tar
