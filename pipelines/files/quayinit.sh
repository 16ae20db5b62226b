#!/bin/bash
# Installs the mirror registry on this host and loads the OpenShift content into it. quayinit.service runs it, once.
# A second start after a failure goes on where the first one ended.
set -euo pipefail
umask 0022

content=/home/ec2-user/archives/mirror_seq1_000000.tar
root=/opt/quay
host=$(hostname --fqdn)
registry=$host:8443
# The installer prints the password that it made; its log is for root only.
log=$root/install.log
export HOME=/root PATH=/usr/local/bin:$PATH

if [ ! -s "$content" ]; then
    echo "$content is missing: this image has no OpenShift content" >&2
    exit 1
fi

if [ ! -s "$root/password" ]; then
    (umask 077 && : >"$log")
    mirror-registry install --quayHostname "$host" --quayRoot "$root" >>"$log" 2>&1
    password=$(sed -n 's/.*with credentials (init, \(.*\)).*/\1/p' "$log" | tail -n 1)
    if [ -z "$password" ]; then
        echo "the installer printed no credentials; see $log" >&2
        exit 1
    fi
    (umask 077 && printf '%s' "$password" >"$root/password.new" && mv "$root/password.new" "$root/password")
fi

install -m 0644 "$root/quay-rootCA/rootCA.pem" /etc/pki/ca-trust/source/anchors/quay-mirror-registry.pem
update-ca-trust

export REGISTRY_AUTH_FILE=$root/auth.json
(umask 077 && podman login --authfile "$REGISTRY_AUTH_FILE" --username init --password-stdin "$registry" <"$root/password")
# oc-mirror looks in one place only.
export XDG_RUNTIME_DIR=/run/quayinit
mkdir -p "$XDG_RUNTIME_DIR/containers"
trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT
install -m 0600 "$REGISTRY_AUTH_FILE" "$XDG_RUNTIME_DIR/containers/auth.json"

cd "$root"
oc-mirror --from "$content" "docker://$registry"
: >"$root/.loaded"
echo "the registry https://$registry holds the OpenShift content; user init, password in $root/password"
