#!/bin/bash
# Fails if a secret of the build is still in a file of the image. Run as root, last of all.
# PULL_SECRET, RH_CDN_PEM: the secrets themselves.
set -eu

# Registries' credentials one by one, since tools rewrite the file around them; the certificate line by line.
needles=$(
    printf '%s\n' "$PULL_SECRET" | grep -o '"auth"[[:space:]]*:[[:space:]]*"[^"]*"' | sed 's/.*"\([^"]*\)"$/\1/' || true
    printf '%s\n' "$RH_CDN_PEM" | sed '/^-----/d; /^#/d' | grep '.\{40\}' || true
)
if [ -z "$needles" ]; then
    echo "the pull secret holds no \"auth\" that could be looked for" >&2
    exit 1
fi

# By standard input: arguments and files would be found themselves. The archives are tens of gigabytes of public images.
left=$(printf '%s\n' "$needles" | grep --recursive --files-with-matches --text --fixed-strings --devices=skip \
    --exclude='mirror_seq*.tar' --file=- /etc /home /opt /root /run /srv /tmp /usr/local /var) || status=$?
if [ -n "$left" ]; then
    printf 'a secret of the build is still in:\n%s\n' "$left" >&2
    exit 1
fi
# 1: nothing found. 2: something could not be read; grep has said what, and files that vanish meanwhile are no matter.
echo "no secret of the build is left (grep: ${status:-0})"
