#!/bin/bash
# Hardens the system after the DISA STIG and switches FIPS mode on from the next boot. Run as the login user, whom sudo
# asks for no password. Wants ~/playbooks.
set -eu

# The Python that ansible-core runs on. It is called by name, because the program's first line may shut out what pip
# installs for one user.
ansible=$(command -v ansible-playbook)
python=$(sed -n '1s/^#! *\([^ ]*\).*/\1/p' "$ansible")
"$python" -m pip install --user jmespath

"$python" "$(command -v ansible-galaxy)" role install --role-file "$HOME/playbooks/requirements.yaml"
"$python" "$(command -v ansible-galaxy)" collection install --requirements-file "$HOME/playbooks/requirements.yaml"
cd "$HOME/playbooks"
"$python" "$ansible" --inventory localhost, --connection local harden_quay.yaml
