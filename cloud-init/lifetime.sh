#!/bin/sh
# Ends the instance that this runs on at a given moment, whatever has become of qib. qib puts it into user-data as a part
# of type text/cloud-boothook, which cloud-init runs early in every boot. The instance is launched with
# InstanceInitiatedShutdownBehavior=terminate, so that shutting down is its end.
#
# ASCII only: text in another encoding would travel as base64, and user-data is small. Lines that are comments are taken
# out before it travels.
#
#   boot --> watcher in the background --> reads /run/qib/lifetime --> is it time? -- yes --> shutdown -P now
#                                            ^                           | no
#                                            '------- some seconds ------'
#
# /run/qib/lifetime holds the end, in seconds since 1970. Whoever writes a later one there gives the instance a longer
# life until the next boot; extend-lifetime.sh makes it outlast that, too.
#
# A clock that shows less than the moment at which this was rendered is wrong. While it does, the time since the boot
# counts instead: an instance without the right time ends as well.
#
# Output goes to /var/log/qib-lifetime.log; that the end has come, to the console besides.
#
# Filled in by plain text replacement of these names between doubled at-signs (they stand without here, so that only the
# assignments are replaced):
#   END                   when the instance ends, seconds since 1970
#   RENDERED              when this was rendered, seconds since 1970
set -u
umask 022
# A boothook's PATH is that of the service that runs it, and a service's may be short.
PATH=${PATH:-/usr/bin}:/usr/sbin:/usr/bin:/sbin:/bin

END='@@END@@'
RENDERED='@@RENDERED@@'

CURRENT=/run/qib/lifetime
# Holds the watcher's process id: there is one watcher.
WATCHER=/run/qib/watcher
# Belongs to the instance, not to the image: cloud-init keeps one such folder per instance id.
EXTENDED=/var/lib/cloud/instance/qib-lifetime
LOG=/var/log/qib-lifetime.log
LOOK_SECONDS=10
# Shutting down takes as long as the slowest service takes to stop. After so many attempts it is done without them.
AGAIN_SECONDS=60
PATIENT_ATTEMPTS=5

say() {
    printf 'qib-lifetime: %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" >>"$LOG"
}

# One line to the console. One that is not there or not writable is no reason to stop.
announce() {
    say "$1"
    { printf 'qib-lifetime: %s\n' "$1" >>/dev/console; } 2>/dev/null || :
}

# True for seconds since 1970 that the shell can reckon with.
is_moment() {
    case $1 in
    '' | 0* | *[!0-9]* | ?????????????*) return 1 ;;
    esac
}

# `$1` in words; not every date knows -d.
moment() {
    date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || printf '%s' "$1"
}

# Sets `end` to what the file says now. What it says no more, or not as a moment, changes nothing: the clean-up before an
# image is made removes it, and the instance must end all the same if qib dies then.
read_end() {
    text=$(cat "$CURRENT" 2>/dev/null)
    if is_moment "$text" && [ "$text" != "$end" ]; then
        end=$text
        say "this instance now ends at $(moment "$end")"
    fi
}

is_time() {
    now=$(date +%s)
    if is_moment "$now" && [ "$now" -ge "$RENDERED" ]; then
        [ "$now" -ge "$end" ]
    else
        read -r up _ </proc/uptime
        [ "${up%%.*}" -ge $((end - RENDERED)) ]
    fi
}

shut_down() {
    if [ "$1" -le "$PATIENT_ATTEMPTS" ]; then
        shutdown -P now || poweroff || systemctl poweroff
    else
        poweroff -f
    fi
}

watcher_lives() {
    other=$(cat "$WATCHER" 2>/dev/null) && [ -n "$other" ] && kill -0 "$other" 2>/dev/null
}

# True if this process is the watcher from now on. The file appears with its content, so nobody reads half of it.
become_watcher() {
    printf '%s\n' "$$" >"$WATCHER.$$" || return 1
    if ln "$WATCHER.$$" "$WATCHER" 2>/dev/null; then
        rm -f "$WATCHER.$$"
    elif watcher_lives; then
        rm -f "$WATCHER.$$"
        return 1
    else
        # What it names is dead. Two that see this at once are two watchers, which does no harm.
        mv -f "$WATCHER.$$" "$WATCHER"
    fi
}

watch() {
    become_watcher || return 0
    end=$END attempts=0
    say "this instance ends at $(moment "$end") unless $CURRENT says otherwise"
    while :; do
        read_end
        if is_time; then
            attempts=$((attempts + 1))
            announce "this instance's life is over (launch.max_lifetime), shutting down: attempt $attempts"
            shut_down "$attempts" || announce "shutting down failed, next attempt in $AGAIN_SECONDS s"
            sleep "$AGAIN_SECONDS"
        else
            sleep "$LOOK_SECONDS"
        fi
    done
}

# Runs in the background, so that nothing here can hold up the boot. A unit of its own lives on when cloud-init's is
# stopped or restarted. It must not wait for the targets that other units wait for: those come after cloud-init.
start() {
    if [ -d /run/systemd/system ] && systemd-run --no-block --collect --unit=qib-lifetime \
        --property=DefaultDependencies=no /bin/sh "$0" watch; then
        looks=0
        while [ "$looks" -lt 10 ]; do
            if watcher_lives; then return; fi
            sleep 1
            looks=$((looks + 1))
        done
        say 'the unit qib-lifetime did not start; watching from here'
    fi
    watch
}

case ${1:-} in
watch)
    watch
    exit
    ;;
start)
    start
    exit
    ;;
esac
mkdir -p "${CURRENT%/*}"
if ! is_moment "$(cat "$CURRENT" 2>/dev/null)"; then
    first=$(cat "$EXTENDED" 2>/dev/null)
    is_moment "$first" || first=$END
    printf '%s\n' "$first" >"$CURRENT.new"
    mv -f "$CURRENT.new" "$CURRENT"
fi
: >>"$LOG"
# Hardened images have a umask of 077, and people who look for a reason are not root.
chmod 0644 "$LOG"
if watcher_lives; then exit 0; fi
# See bind-address.sh: cloud-init waits for whoever holds its descriptors, and a session's leader would take the console.
if command -v setsid >/dev/null 2>&1; then
    # shellcheck disable=SC2016  # the inner shell expands it
    setsid sh -c 'sh "$0" start &' "$0" </dev/null >>"$LOG" 2>&1
else
    nohup sh "$0" start </dev/null >>"$LOG" 2>&1 &
fi
