#!/bin/bash
# Makes the folders of the registry and of the OpenShift content. Run as root.
# HOME_FOLDER, LOGIN_USER: the login user, who owns the content.
set -eu
umask 022

mkdir -p /opt/quay /opt/openshift/mirror /opt/openshift/clients "$HOME_FOLDER/archives" /etc/sysconfig

# In a rehearsal without root the guest has one user id, and nobody that a file could be given to.
read -r _ _ ids </proc/self/uid_map
if [ "$ids" -gt 1 ]; then
    chown "$LOGIN_USER:" /opt/openshift/mirror /opt/openshift/clients "$HOME_FOLDER/archives"
fi

# Keeps quayinit from starting until whoever launches the image has configured it and removes this file.
: >/etc/sysconfig/rh-quay-firstboot

if command -v restorecon >/dev/null 2>&1; then
    restorecon -R /opt/quay /opt/openshift /etc/sysconfig/rh-quay-firstboot
fi
