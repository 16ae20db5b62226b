#!/bin/bash
# Installs and enables the unit that sets the registry up at the image's first boots. Run as root.
# UPLOADS: the folder with quayinit.service and quayinit.sh.
set -eu
umask 022

unit=/etc/systemd/system/quayinit.service
mkdir -p /etc/systemd/system /usr/local/bin
install -m 0755 "$UPLOADS/quayinit.sh" /usr/local/bin/quayinit.sh
install -m 0644 "$UPLOADS/quayinit.service" "$unit"
rm "$UPLOADS/quayinit.sh" "$UPLOADS/quayinit.service"
# Before enabling: systemd must be able to read them.
if command -v restorecon >/dev/null 2>&1; then restorecon "$unit" /usr/local/bin/quayinit.sh; fi

wanted=/etc/systemd/system/multi-user.target.wants/quayinit.service
if command -v systemctl >/dev/null 2>&1; then
    systemctl enable quayinit.service
else
    # What enabling does, on a system that has systemd's files but not its tools.
    mkdir -p "${wanted%/*}"
    ln -sf "$unit" "$wanted"
fi
test "$(readlink "$wanted")" = "$unit"
