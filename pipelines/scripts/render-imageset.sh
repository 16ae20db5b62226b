#!/bin/bash
# Fills the versions into the imageset. Run as the login user.
# OCP_VERSION; OCP_MIN_VERSION: the oldest version to mirror, or `same` for OCP_VERSION alone.
set -eu
umask 022

min=$OCP_MIN_VERSION
if [ "$min" = same ]; then min=$OCP_VERSION; fi
# Both must be in the one channel that is mirrored.
if [ "${min%.*}" != "${OCP_VERSION%.*}" ]; then
    echo "ocp_min_version $min and ocp_version $OCP_VERSION are not of the same minor version" >&2
    exit 1
fi
sed "s/@OCP_MINOR@/${OCP_VERSION%.*}/g; s/@OCP_MIN_VERSION@/$min/g; s/@OCP_MAX_VERSION@/$OCP_VERSION/g" \
    "$HOME/imageset-config.yaml.in" >"$HOME/imageset-config.yaml"
rm "$HOME/imageset-config.yaml.in"
if grep -n '@[A-Z_]*@' "$HOME/imageset-config.yaml"; then
    echo "nothing fills in these names" >&2
    exit 1
fi
