#!/bin/sh
# Removes what qib put into a guest, just before its image is made. Run as root, over the SSH session that is to be
# closed next. What is not there is no error, and a second run does nothing more.
#
# From the environment, so that nothing stands in arguments:
#   QIB_LOGIN_KEY   the public key that qib logged in with, as one line of authorized_keys; empty: none was added
#   QIB_HOST_KEYS   remove: the host keys are qib's and go; keep: they are the image's own and stay
#
# Exit code 0 if all of it is gone, else 1 with a line for each thing that is left.
set -u
umask 077

left=0
complain() {
    printf 'still there: %s\n' "$1" >&2
    left=1
}

# Overwritten first where there is shred. On a copy-on-write or log-structured file system that promises nothing; an
# EBS snapshot of ext4 or XFS, though, would otherwise hold the old blocks.
remove_file() {
    if command -v shred >/dev/null 2>&1; then
        # What it cannot overwrite is removed all the same, and whether it is gone is checked below.
        shred --force --remove -- "$1" 2>/dev/null || rm -f -- "$1"
    else
        rm -f -- "$1"
    fi
    if [ -e "$1" ] || [ -L "$1" ]; then complain "$1"; fi
}

# Arguments are what a pattern gave: files, and the pattern itself if nothing fits.
remove_files() {
    for file; do
        if [ -L "$file" ]; then
            rm -f -- "$file"
        elif [ -f "$file" ]; then
            remove_file "$file"
        fi
    done
}

# Removes the lines of an authorized_keys file that hold the key. The options and the comment of a line do not matter:
# cloud-init's copy for root has command="echo 'Please login as …'" in front.
remove_key() {
    [ -f "$1" ] || return 0
    grep -qF -- "$material" "$1" || return 0
    # Written into the same file, so that owner, mode and SELinux context stay.
    kept=$(grep -vF -- "$material" "$1"; printf .)
    printf '%s' "${kept%.}" >"$1"
    if grep -qF -- "$material" "$1"; then complain "the login key in $1"; fi
}

key=${QIB_LOGIN_KEY:-}
# Type, then the key itself in base64, then perhaps a comment.
material=${key#* }
material=${material%% *}
if [ -n "$key" ]; then
    while IFS=: read -r _ _ _ _ _ home _; do
        for file in "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2"; do
            remove_key "$file"
        done
    done </etc/passwd
    # Where an image keeps them outside of homes.
    for file in /etc/ssh/authorized_keys /etc/ssh/authorized_keys/* /etc/ssh/authorized_keys.d/*; do
        remove_key "$file"
    done
fi

# Every place where cloud-init keeps user-data, the parts of it, or what it made of them. The image's first boot is a
# new instance for cloud-init, which makes all of this anew.
# https://cloudinit.readthedocs.io/en/latest/reference/faq.html (data directory)
for instance in /var/lib/cloud/instances/* /var/lib/cloud/instance; do
    [ -d "$instance" ] || continue
    remove_files "$instance"/user-data* "$instance"/vendor-data* "$instance"/vendor-data2* "$instance"/cloud-config* \
        "$instance"/vendor-cloud-config* "$instance"/vendor2-cloud-config* "$instance"/combined-cloud-config* \
        "$instance"/network-config* "$instance"/obj.pkl "$instance"/boothooks/* "$instance"/scripts/* \
        "$instance"/handlers/* "$instance"/qib-bind-address.done "$instance"/qib-lifetime "$instance"/qib-lifetime.new
done
remove_files /run/cloud-init/combined-cloud-config* /run/cloud-init/merged.cfg /run/cloud-init/instance-data*.json \
    /run/cloud-init/cloud-config* /var/lib/cloud/data/*user-data* \
    /var/log/qib-bind-address.log /run/qib-bind-address.* /var/log/qib-lifetime.log
# The timer itself goes on with the end that it knows: should qib die before the instance stops, it is still needed.
rm -rf -- /run/qib
if [ -e /run/qib ]; then complain /run/qib; fi

# Files of scripts whose connection broke or that were killed: their environment may hold secrets. This script's own
# folder goes too; the shell has the file open.
for folder in /tmp/qib-*; do
    # Named by 32 hexadecimal digits: nothing of the user's own.
    name=${folder#/tmp/qib-}
    case $name in *[!0-9a-f]*) continue ;; esac
    [ "${#name}" -eq 32 ] && [ -d "$folder" ] && [ ! -L "$folder" ] || continue
    remove_files "$folder/run" "$folder/script"
    rm -rf -- "$folder"
done

if [ "${QIB_HOST_KEYS:-keep}" = remove ]; then
    # The session in use has its keys already and goes on.
    remove_files /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub /etc/ssh/ssh_host_*_key-cert.pub
fi

sync
exit "$left"
