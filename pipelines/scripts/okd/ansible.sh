#!/bin/bash
# Ansible, as OKD's playbooks of that release want it. Run as root.
# REQUIREMENTS: pip's list.
set -eu
command -v pip >/dev/null 2>&1 || easy_install pip
pip install --requirement "$REQUIREMENTS"
rm -f "$REQUIREMENTS"
