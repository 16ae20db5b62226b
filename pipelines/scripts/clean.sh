#!/bin/bash
# Removes what the build leaves behind. Run as root and without errexit: what is not there cannot be removed, and that
# is no failure. Host keys and the login key are not here: qib removes those that it put in, and no others.
# HOME_FOLDER: the login user's home.
set -u
shopt -s nullglob

if command -v dnf >/dev/null 2>&1; then dnf -y clean all; fi

rm -rf "$HOME_FOLDER/playbooks" "$HOME_FOLDER/.ansible" /root/.ansible
for file in /root/.bash_history /home/*/.bash_history /root/.python_history /home/*/.python_history /root/.lesshst /home/*/.lesshst; do
    if [ -e "$file" ]; then shred --force --remove "$file"; fi
done
rm -rf /tmp/ansible* /var/tmp/ansible* /tmp/pip-* /root/.cache "$HOME_FOLDER/.cache"

sync
