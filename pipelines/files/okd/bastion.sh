#!/bin/bash
# Says what this machine is and which clients it has.
cat /etc/okd-machine
oc version --client 2>/dev/null || echo "oc: none"
