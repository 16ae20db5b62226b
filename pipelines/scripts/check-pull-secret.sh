#!/bin/bash
# Asks Red Hat's registry for the catalogue of operators with the pull secret. Run on the build host, before anything is
# created; needs skopeo.
# PULL_SECRET, CATALOG.
set -euo pipefail

if ! command -v skopeo >/dev/null; then
    echo "skopeo is not installed here: it is what asks $CATALOG whether the pull secret is good" >&2
    exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(umask 077 && printf '%s' "$PULL_SECRET" >"$folder/auth.json")
if ! skopeo inspect --no-tags --authfile "$folder/auth.json" "docker://$CATALOG" >"$folder/answer" 2>"$folder/error"; then
    echo "the pull secret does not open $CATALOG:" >&2
    cat "$folder/error" >&2
    exit 1
fi
