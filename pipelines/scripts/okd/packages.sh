#!/bin/bash
# What OKD's installer wants to find. Run as root.
# EXTRA: the kind of machine; the cluster's get the container host's tools as well.
set -eu
yum -y install \
    bash-completion bind-utils bridge-utils docker-1.13.1 git httpd-tools iptables-services java-1.8.0-openjdk-headless \
    kexec-tools net-tools NetworkManager ntp psacct pyOpenSSL python-passlib sos wget yum-utils
if [ "$EXTRA" = okd ]; then yum -y install atomic; fi
rpm --verify docker
