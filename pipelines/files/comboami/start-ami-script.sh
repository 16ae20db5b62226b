#!/bin/sh
### BEGIN INIT INFO
# Provides:          start-ami-script
# Required-Start:    $remote_fs $syslog $network
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:
# Short-Description: Makes a node of a cluster out of the machine
### END INIT INFO
home=/home/ubuntu/datastax_ami
[ "${1:-start}" = start ] || exit 0
[ -e "$home/ds0_updater.py" ] || exit 0
cd "$home" && exec python ds0_updater.py >>"$home/ami.log" 2>&1
