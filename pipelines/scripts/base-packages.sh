#!/bin/bash
# Brings the system up to date and installs what the hardening needs. Run as root.
# RHEL_MAJOR: the release that the image is tagged with.
set -eu

# shellcheck source=/dev/null
major=$(. /etc/os-release && printf '%s' "${VERSION_ID%%.*}")
if [ "$major" != "$RHEL_MAJOR" ]; then
    echo "this is RHEL $major, but the image would be tagged as RHEL $RHEL_MAJOR: set rhel_version and rhel_major together" >&2
    exit 1
fi

dnf -y update
dnf -y install ansible-core
# The pip of the Python that ansible-core runs on, which differs from release to release.
python=$(sed -n '1s/^#! *\([^ ]*\).*/\1/p' "$(command -v ansible-playbook)")
package=$(rpm --query --queryformat '%{NAME}' --file "$(readlink -f "$python")")
dnf -y install "$package-pip"
