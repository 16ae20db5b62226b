#!/bin/bash
# Brings Ubuntu to its last state, without a question to anyone. Run as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold dist-upgrade
