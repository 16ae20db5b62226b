#!/bin/bash
# Downloads the OpenShift clients and the registry's installer, into /usr/local/bin, and keeps the archives for those who
# have no way to the internet. Run as root.
# OCP_VERSION, HOME_FOLDER, LOGIN_USER
set -euo pipefail
umask 022

kept=/opt/openshift/clients
bin=/usr/local/bin
mirror=https://mirror.openshift.com/pub/openshift-v4
gateway=https://developers.redhat.com/content-gateway/rest/mirror/pub/openshift-v4

download() {
    curl --fail --silent --show-error --location --retry 5 --retry-connrefused --output "$kept/$2" "$1/$2"
}

# Clients of the very release, checked by the sums that are published with it.
release=$mirror/x86_64/clients/ocp/$OCP_VERSION
sums=$(curl --fail --silent --show-error --location --retry 5 "$release/sha256sum.txt")
for name in openshift-install openshift-client oc-mirror; do
    # The archive of some has the version in its name, of others not.
    archive=$(awk -v name="$name" -v version="$OCP_VERSION" \
        '$2 == name "-linux-" version ".tar.gz" || $2 == name "-linux.tar.gz" || $2 == name ".tar.gz" { print $2; exit }' <<<"$sums")
    if [ -z "$archive" ]; then
        echo "$release/sha256sum.txt lists no archive of $name" >&2
        exit 1
    fi
    download "$release" "$archive"
    (cd "$kept" && grep -F "  $archive" <<<"$sums" | sha256sum --check -)
    tar --extract --gzip --no-same-owner --directory "$bin" --exclude README.md --file "$kept/$archive"
done
chmod 0755 "$bin/oc-mirror"

# These have no release of OpenShift's: always the latest.
download "$gateway/clients/mirror-registry/latest" mirror-registry.tar.gz
tar --extract --gzip --no-same-owner --directory "$bin" --file "$kept/mirror-registry.tar.gz"
download "$mirror/clients/pipelines/latest" tkn-linux-amd64.tar.gz
tar --extract --gzip --no-same-owner --directory "$bin" --file "$kept/tkn-linux-amd64.tar.gz" tkn
download "$gateway/clients/odo/latest" odo-linux-amd64.tar.gz
tar --extract --gzip --no-same-owner --directory "$bin" --file "$kept/odo-linux-amd64.tar.gz"
if [ -e "$bin/odo-linux-amd64" ]; then mv "$bin/odo-linux-amd64" "$bin/odo"; fi

mkdir -p /etc/bash_completion.d
"$bin/oc" completion bash >/etc/bash_completion.d/oc
chown -R "$LOGIN_USER:" "$kept"
if command -v restorecon >/dev/null 2>&1; then restorecon -R "$bin" "$kept" /etc/bash_completion.d; fi

PULL_SECRET_FILE="$HOME_FOLDER/pull-secret.json" "$HOME_FOLDER/get_ccoctl.sh"
