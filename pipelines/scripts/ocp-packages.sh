#!/bin/bash
# Brings the system up to date and installs what the registry and its administrators need. Run as root.
set -eu

dnf clean all
dnf -y update
# shellcheck source=/dev/null
major=$(. /etc/os-release && printf '%s' "${VERSION_ID%%.*}")
# In RHEL 8 the container tools are a module with a stream of its own.
case $major in
8) containers=@container-tools:rhel8 ;;
*) containers=container-tools ;;
esac
dnf -y install "$containers" git vim-enhanced jq tmux bash-completion mlocate pigz
