#!/bin/bash
# Ansible's settings in every layer above. Run as root.
set -eu
umask 022
mkdir -p /etc/ansible
printf 'localhost ansible_connection=local\n' >/etc/ansible/hosts
printf '[defaults]\nlog_path = /var/log/ansible.log\n' >/etc/ansible/ansible.cfg
