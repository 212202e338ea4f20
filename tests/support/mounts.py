"""Disks and shares that are mounted for a test, where this is permitted.

A disk is an image in a file, mounted by FUSE: exFAT and NTFS are drives that people carry from
machine to machine. ``sshfs`` shows a folder through a real sshd.
"""

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PACKAGES = {
    "mkfs.exfat": "exfatprogs",
    "mount.exfat-fuse": "exfat-fuse",
    "mkfs.ntfs": "ntfs-3g",
    "lowntfs-3g": "ntfs-3g",
    "sshfs": "sshfs",
    "losetup": "mount",
}


def tool(name):
    """Path of a program; without it the test is skipped."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed: apt install {PACKAGES[name]}")
    return found


@contextmanager
def mounted(folder, *command):
    """Run a command that mounts something at ``folder``; unmount it at the end."""
    if os.getuid() != 0 or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("mounting is not permitted here: it needs root and /dev/fuse")
    folder.mkdir(exist_ok=True)
    before = folder.stat().st_dev
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    until = time.monotonic() + 5
    while folder.stat().st_dev == before and time.monotonic() < until and not done.returncode:
        time.sleep(0.02)
    if done.returncode or folder.stat().st_dev == before:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()[-120:]}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=False, capture_output=True)
        subprocess.run(["umount", "-l", folder], check=False, capture_output=True)


@contextmanager
def exfat(place):
    """An exFAT disk of 32 MiB."""
    maker, driver = tool("mkfs.exfat"), tool("mount.exfat-fuse")
    image = _image(place)
    subprocess.run([maker, image], check=True, capture_output=True)
    with (
        _device(image) as device,
        mounted(place / "disk", driver, device, place / "disk") as folder,
    ):
        yield folder


@contextmanager
def _device(image):
    """A block device over an image: the driver of exFAT mounts no file."""
    command = [tool("losetup"), "--find", "--show", image]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"loop devices are not permitted here: {done.stderr.strip()[-120:]}")
    try:
        yield done.stdout.strip()
    finally:
        subprocess.run([tool("losetup"), "-d", done.stdout.strip()], check=False)


@contextmanager
def ntfs(place):
    """An NTFS disk of 32 MiB that ignores case, as Windows shows it."""
    maker, driver = tool("mkfs.ntfs"), tool("lowntfs-3g")
    image = _image(place)
    subprocess.run([maker, "-F", "-Q", image], check=True, capture_output=True)
    options = "ignore_case,windows_names"
    with mounted(place / "disk", driver, "-o", options, image, place / "disk") as folder:
        yield folder


@contextmanager
def sshfs(place, port, key, far):
    """The folder ``far`` of this machine, seen through its sshd."""
    command = [
        tool("sshfs"), f"127.0.0.1:{far}", place, "-p", str(port), "-o", f"IdentityFile={key}",
        "-o", "StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,LogLevel=ERROR",
    ]  # fmt: skip
    with mounted(place, *command) as folder:
        yield folder


@contextmanager
def read_only(folder):
    """A folder, mounted over itself so that it can only be read."""
    if os.getuid() != 0:
        pytest.skip("mounting is not permitted here: it needs root")
    done = subprocess.run(
        ["mount", "--bind", folder, folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()[-120:]}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def _image(place):
    image = Path(place) / "image"
    with image.open("wb") as file:
        file.truncate(32 * 2**20)
    return image
