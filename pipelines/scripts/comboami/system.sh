#!/bin/bash
# Limits of the database, and the start script at every boot. Run as root.
# COMBOAMI_VERSION: the image's version, which it says in /etc/comboami-release.
set -eu
umask 022

echo "$COMBOAMI_VERSION" >/etc/comboami-release
mkdir -p /etc/sysctl.d /etc/security/limits.d
cat >/etc/sysctl.d/60-cassandra.conf <<'CONF'
vm.max_map_count = 131072
CONF
cat >/etc/security/limits.d/cassandra.conf <<'CONF'
*    - nofile  100000
*    - memlock unlimited
root - nofile  100000
root - memlock unlimited
CONF

# The links that `update-rc.d … defaults 99` would make, also where that program is missing.
for level in 2 3 4 5; do
    mkdir -p "/etc/rc$level.d"
    ln -sfn ../init.d/start-ami-script.sh "/etc/rc$level.d/S99start-ami-script.sh"
done
