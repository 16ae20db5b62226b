#!/bin/bash
# What each distribution needs before Ansible can run in it. Run as root.
# DISTRO: which.
set -eu
case $DISTRO in
centos-7)
    yum -y remove java-1.6.0-openjdk java-1.7.0-openjdk
    yum -y upgrade
    yum -y install epel-release gcc libffi-devel openssl-devel python-devel
    yum -y install python-pip
    pip install jmespath 'ansible~=2.9.1'
    ;;
*)
    echo "no bootstrap is known for $DISTRO" >&2
    exit 2
    ;;
esac
rm -f /var/log/cloud-*.log
