#!/bin/bash
# Updates, and what every job needs. Run as root.
set -eu
dnf="dnf --assumeyes --setopt=minrate=100 --setopt=timeout=60"
$dnf update
$dnf install cloud-init coreutils git policycoreutils policycoreutils-python-utils rng-tools
# What the first update brought may want one of its own.
$dnf update
systemctl enable rngd
