#!/bin/bash
# Decides where packages come from. Run as root.
# YUM_REPOS: image: the repositories that the image came with (for Amazon's customers, Red Hat's RHUI).
#            cdn: Red Hat's CDN and nothing else, with the client certificate that was uploaded.
# UPLOADS: the folder with rh-cdn.pem and quay-image.repo.
set -eu
umask 022

if [ "$YUM_REPOS" = image ]; then
    echo "packages come from the image's own repositories"
    exit 0
fi
if ! grep -q 'BEGIN CERTIFICATE' "$UPLOADS/rh-cdn.pem"; then
    echo "yum_repos is cdn, but rh_cdn_pem holds no certificate: give it in RH_CDN_PEM" >&2
    exit 1
fi
mkdir -p /etc/yum.repos.d /etc/pki/entitlement
# Kept beside, so that the image has its own repositories back in the end.
mkdir -p /etc/yum.repos.d/of-the-image
find /etc/yum.repos.d -maxdepth 1 -name '*.repo' -exec mv -t /etc/yum.repos.d/of-the-image {} +
install -m 0600 "$UPLOADS/rh-cdn.pem" /etc/pki/entitlement/quay-image.pem
sed "s/@RELEASEVER_MAJOR@/$RHEL_MAJOR/g; s/@OCP_MINOR@/${OCP_VERSION%.*}/g" "$UPLOADS/quay-image.repo" \
    >/etc/yum.repos.d/quay-image.repo
if command -v restorecon >/dev/null 2>&1; then restorecon -R /etc/yum.repos.d /etc/pki/entitlement; fi
echo "packages come from Red Hat's CDN"
