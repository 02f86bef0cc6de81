#!/bin/busybox sh
# First program of every guest: brings up the disk, copies this run's files onto it, and hands over.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /load/*.ko; do
    insmod "$module"
done
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/vda ] && break
    sleep 0.2
done
if ! mount -t ext4 /dev/vda /root-disk; then
    echo "the root disk /dev/vda cannot be mounted"
    poweroff -f
fi
cp -a /payload/. /root-disk/
mount --move /proc /root-disk/proc
mount --move /sys /root-disk/sys
mount --move /dev /root-disk/dev
exec switch_root /root-disk /sbin/init
