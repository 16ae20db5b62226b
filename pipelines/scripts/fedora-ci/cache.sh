#!/bin/bash
# What jobs would otherwise download each time. Run as root.
set -eu
dnf --assumeyes --setopt=minrate=100 --setopt=timeout=60 install \
    buildah container-selinux criu golang gcc make podman skopeo ShellCheck
dnf --assumeyes --downloadonly --downloaddir=/var/cache/ci/rpms install podman-tests
