#!/usr/bin/env bash
# mlrun-test/busybox:1, the smallest image with a shell: no bash, no Python.
# needs: tar dpkg
#
# usage: busybox.sh OUT.tar   (in an empty folder, which is removed by the caller)
set -euo pipefail

# Fetched and unpacked, not installed: on the machine itself it would replace the package `busybox`.
fetch() { apt-get -qq download busybox-static 2>fetch.log; }
if ! fetch; then
    if [ "$(id -u)" = 0 ]; then apt-get -qq update; fi
    fetch || { cat fetch.log >&2; exit 1; }
fi
dpkg-deb --extract busybox-static_*.deb package

mkdir -p root/{bin,dev,etc,proc,root,sys,usr/bin,var}
mkdir -m 1777 root/tmp
# Its place in the package differs between Debian releases.
cp "$(find package -type f -name busybox -perm -100)" root/bin/busybox
for applet in $(root/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "root/bin/$applet"
done
ln -s /bin/env root/usr/bin/env
echo 'root:x:0:0:root:/root:/bin/sh' >root/etc/passwd
echo 'root:x:0:' >root/etc/group
tar -C root --sort=name --owner=0 --group=0 --numeric-owner -cf "$1" .
