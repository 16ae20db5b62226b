#!/bin/bash
# Java 7, which that version of the database runs on. Run as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -y install openjdk-7-jdk
java -version
