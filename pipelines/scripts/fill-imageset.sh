#!/bin/bash
# Makes made/imageset-config.yaml: what oc-mirror is to copy, with the versions and each operator's channel filled in.
# Run on the build host, in the folder above this one, before anything is created.
# OCP_VERSION; OCP_MIN_VERSION: the oldest version to mirror, or `same` for OCP_VERSION alone; CATALOG.
# OPERATOR_CHANNELS: `catalog` asks the catalogue for each operator's default channel and the newest version in it, with
# PULL_SECRET, and needs oc-mirror; `default` names none, and oc-mirror takes what is the default on the day it copies.
set -euo pipefail

min=$OCP_MIN_VERSION
if [ "$min" = same ]; then min=$OCP_VERSION; fi
# Both must be in the one channel that is mirrored.
if [ "${min%.*}" != "${OCP_VERSION%.*}" ]; then
    echo "ocp_min_version $min and ocp_version $OCP_VERSION are not of the same minor version" >&2
    exit 1
fi

mkdir -p made
folder=$(mktemp -d)
# Beside the file it will replace, so that no reader ever sees half of one.
new=$(mktemp made/.imageset-config.XXXXXX)
trap 'rm -rf "$folder" "$new"' EXIT

sed "s/@OCP_MINOR@/${OCP_VERSION%.*}/g; s/@OCP_MIN_VERSION@/$min/g; s/@OCP_MAX_VERSION@/$OCP_VERSION/g; s|@CATALOG@|$CATALOG|g" \
    files/imageset-config.yaml.in >"$new"
if grep -n '@[A-Z_]*@' "$new"; then
    echo "nothing fills in these names" >&2
    exit 1
fi

if [ "$OPERATOR_CHANNELS" = catalog ]; then
    if ! command -v oc-mirror >/dev/null; then
        echo "oc-mirror is not installed here: it is what tells the operators' channels; --var operator_channels=default does without" >&2
        exit 1
    fi
    (umask 077 && printf '%s' "$PULL_SECRET" >"$folder/config.json")
    export DOCKER_CONFIG=$folder
    packages=$(sed -n '/^ *packages:/,/^ *additionalImages:/s/^ *- name: *//p' "$new")
    for package in $packages; do
        # By name and number, so that the image says what it holds. Two tables: the package with its default channel last,
        # then a line of package, channel and newest version for each channel.
        (cd "$folder" && oc-mirror list operators --catalog "$CATALOG" --package "$package" </dev/null) >"$folder/listed"
        channel=$(awk -v package="$package" '$1 == package && !seen { print $NF; seen = 1 }' "$folder/listed")
        if [ -z "$channel" ]; then
            echo "$CATALOG has no default channel of $package" >&2
            exit 1
        fi
        newest=$(awk -v package="$package" -v channel="$channel" '
            $1 == "PACKAGE" { second = 1 }
            second && $1 == package && $2 == channel { print $3 }' "$folder/listed")
        version=${newest#"$package".}
        version=${version#v}
        if [ -z "$version" ]; then
            echo "$CATALOG has no version of $package in its channel $channel" >&2
            exit 1
        fi
        echo "$package: $channel, $version"
        sed -i "s|^\( *\)- name: $package\$|&\n\1  channels:\n\1    - name: $channel\n\1      minVersion: '$version'|" "$new"
    done
fi
chmod 0644 "$new"
mv "$new" made/imageset-config.yaml
