# boot.sh ROOT GROUP: becomes the systemd of the Debian in ROOT, in namespaces of its own, with the cgroups of GROUP.
set -e
root=$1 group=$2
mount --make-rprivate /
if [ -d /sys/fs/cgroup/systemd ]; then
	groups=/sys/fs/cgroup/systemd/$group # version 1 with systemd's hierarchy
else
	groups=/sys/fs/cgroup/$group
fi
mkdir -p "$groups"
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
if [ -d /sys/fs/cgroup/systemd ]; then
	mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
	mkdir "$root/sys/fs/cgroup/systemd"
	mount --bind "$groups" "$root/sys/fs/cgroup/systemd"
else
	echo $$ >"$groups/cgroup.procs"
	mount --bind "$groups" "$root/sys/fs/cgroup"
fi
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
	touch "$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/2 "$root/dev/stderr"
ln -s /proc/self/fd/1 "$root/dev/stdout"
# And not only chroot: what is in one makes no user namespaces, as PrivateUsers= needs.
cd "$root"
pivot_root . mnt
umount -l /mnt
exec env -i container=other PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --unit=multi-user.target
