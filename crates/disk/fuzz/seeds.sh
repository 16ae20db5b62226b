#!/bin/sh
# Makes small images for the fuzz targets to begin with, in corpus/TARGET. Needs qemu-img and qemu-io.
set -eu
cd "$(dirname "$0")"
mkdir -p corpus/probe corpus/partition corpus/raw corpus/qcow2 corpus/vmdk corpus/vhd corpus/vhdx
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

qemu-img create -q -f raw "$work/in" 32K
qemu-io -f raw -c 'write -q -P 1 0 512' -c 'write -q -P 2 20K 700' "$work/in" > "$work/log"
cp "$work/in" corpus/raw/in
number=0
make() {
    target=$1 format=$2
    shift 2
    number=$((number + 1))
    qemu-img convert -q -f raw -O "$format" "$@" "$work/in" "$work/$number"
    cp "$work/$number" "corpus/$target/$number"
    head -c 4096 "$work/$number" > "corpus/probe/$number"
}
make qcow2 qcow2 -o cluster_size=512
make qcow2 qcow2 -o cluster_size=512,compat=0.10
make qcow2 qcow2 -c -o cluster_size=512
make qcow2 qcow2 -c -o cluster_size=512,compression_type=zstd
make qcow2 qcow2 -o cluster_size=16K,extended_l2=on
make vmdk vmdk -o subformat=streamOptimized
make vmdk vmdk -o subformat=monolithicSparse
make vhd vpc -o subformat=fixed,force_size=on
make vhd vpc -o subformat=dynamic,force_size=on
printf '# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\nRW 8 FLAT "a.vmdk" 0\nRW 8 SPARSE "b.vmdk"\nRW 9 ZERO\n' > corpus/vmdk/text

# The parts of a VHDX that the target puts into their places.
qemu-img convert -q -f raw -O vhdx -o block_size=1M "$work/in" "$work/vhdx"
part() { dd if="$work/vhdx" bs=8 skip="$(($1 / 8))" count="$(($2 / 8))" status=none; }
{
    part 0 8
    part 65536 128
    part 196608 128
    part 1048576 8192
    part 3145728 512
    part 3211264 64
    part 2097152 512
} > corpus/vhdx/1

# A GPT with an EFI system partition, if there is a tool to make one.
if command -v sgdisk > "$work/log"; then
    truncate -s 256K "$work/gpt"
    sgdisk -a 1 -n 1:40:300 -t 1:ef00 -n 2:301:310 -t 2:ef02 -n 3:311:400 -t 3:8304 "$work/gpt" > "$work/log"
    cp "$work/gpt" corpus/partition/gpt
fi
printf '\353\074\220' > corpus/partition/mbr
