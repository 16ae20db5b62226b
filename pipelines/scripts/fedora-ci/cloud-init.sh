#!/bin/bash
# cloud-init's last stage waits until names can be looked up: user-data of CI jobs downloads things. Run as root.
set -eu
umask 022
for unit in cloud-init cloud-final; do
    mkdir -p "/etc/systemd/system/$unit.service.d"
    printf '[Unit]\nAfter=network-online.target nss-lookup.target\nWants=network-online.target\n' \
        >"/etc/systemd/system/$unit.service.d/10-network.conf"
done
