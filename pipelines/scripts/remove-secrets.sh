#!/bin/bash
# Removes the pull secret, the client certificate and what was made of them. Run as root and without errexit: what is not
# there cannot be removed. check-no-secrets.sh looks afterwards whether all of it is gone.
# HOME_FOLDER: the login user's home.
set -u
shopt -s nullglob

# A file that a later write replaced may be left on the disk, and a snapshot has the disk.
for file in "$HOME_FOLDER/pull-secret.json" "$HOME_FOLDER/rh-cdn.pem" /etc/pki/entitlement/quay-image.pem \
    /run/user/*/containers/auth.json "$HOME_FOLDER/.docker/config.json" /root/.docker/config.json \
    "$HOME_FOLDER/.config/containers/auth.json" /root/.config/containers/auth.json; do
    if [ -e "$file" ]; then shred --force --remove "$file"; fi
done

rm -f "$HOME_FOLDER/quay-image.repo" /etc/yum.repos.d/quay-image.repo
# The image's own repositories, if they were set aside.
if [ -d /etc/yum.repos.d/of-the-image ]; then
    for file in /etc/yum.repos.d/of-the-image/*.repo; do mv "$file" /etc/yum.repos.d/; done
    rmdir /etc/yum.repos.d/of-the-image
    if command -v restorecon >/dev/null 2>&1; then restorecon -R /etc/yum.repos.d; fi
fi
