#!/bin/bash
# The scripts that make a node of a cluster out of the image at its first boot. Run as the login user.
# COMBOAMI_BRANCH: which branch of them.
set -eu
git clone --branch "$COMBOAMI_BRANCH" --depth 1 https://github.com/riptano/ComboAMI.git "$HOME/datastax_ami"
