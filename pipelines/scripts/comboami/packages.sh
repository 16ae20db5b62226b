#!/bin/bash
# What the configuration scripts call. Run as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
# mdadm alone asks where to send mail unless it comes without what it recommends.
apt-get -y --no-install-recommends install mdadm
apt-get -y install \
    ant binutils bzip2 curl dstat emacs23-nox ethtool gcc gdisk git htop iftop kpartx libjna-java liblzo2-dev make maven2 \
    ntp openssl pbzip2 pssh python-pip ruby s3cmd software-properties-common subversion sysstat tree unzip wget xfsprogs zip
