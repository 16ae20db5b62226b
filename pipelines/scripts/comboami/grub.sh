#!/bin/bash
# A machine with hardware virtualisation boots by the legacy boot loader and has its console on the serial port; a
# paravirtual one has neither. Run as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -y install grub
if [ -e /boot/grub/menu.lst ]; then
    sed -i 's/console=hvc0/console=ttyS0/' /boot/grub/menu.lst
fi
# The image has no EFI partition that could be mounted.
sed -i '/LABEL=UEFI/d' /etc/fstab
