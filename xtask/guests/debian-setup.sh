#!/bin/sh
# Turns the fresh root folder $1 into the debian guest: people, keys, and nothing that slows the boot.
set -eu
root=$1

echo debian > "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 debian\n' > "$root/etc/hosts"
echo '/dev/vda / ext4 defaults 0 0' > "$root/etc/fstab"
: > "$root/etc/machine-id"

for user in alice bob; do
    chroot "$root" useradd --create-home --shell /bin/bash "$user"
    # Without a password, but not locked: sshd refuses locked accounts.
    chroot "$root" usermod --password '*' "$user"
done
echo 'alice ALL=(ALL:ALL) NOPASSWD: ALL' > "$root/etc/sudoers.d/alice"
chmod 440 "$root/etc/sudoers.d/alice"

mkdir -p "$root/root/.ssh" "$root/home/alice/.ssh"
ssh-keygen -q -t ed25519 -N '' -C root@debian -f "$root/root/.ssh/id_ed25519"
cp "$root/root/.ssh/id_ed25519.pub" "$root/home/alice/.ssh/authorized_keys"
printf 'Host *\n    StrictHostKeyChecking accept-new\n' > "$root/root/.ssh/config"
chroot "$root" chown -R alice:alice /home/alice/.ssh
chmod 700 "$root/root/.ssh" "$root/home/alice/.ssh"

# Units that wait for hardware or the network, or tidy up: none has a part in a test.
for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    dpkg-db-backup.timer systemd-firstboot.service systemd-pstore.service systemd-binfmt.service \
    systemd-random-seed.service systemd-timesyncd.service systemd-networkd.service systemd-hwdb-update.service \
    systemd-journal-flush.service getty@tty1.service serial-getty@ttyS0.service serial-getty@ttyS1.service \
    systemd-udev-settle.service systemd-repart.service dev-hugepages.mount remote-fs.target; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"

# Playbooks of the tests use these two collections and Ansible's own modules.
collections=$root/usr/lib/python3/dist-packages/ansible_collections
find "$collections" -mindepth 1 -maxdepth 1 ! -name ansible ! -name community ! -name '*.py' -exec rm -rf {} +
find "$collections/community" -mindepth 1 -maxdepth 1 ! -name general -exec rm -rf {} +
rm -rf "$root"/var/cache/apt/*.bin "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*
