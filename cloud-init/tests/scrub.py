"""Tests of scrub.sh on a small imitation of an instance's files.

Run it with any Python 3:  python cloud-init/tests/scrub.py
It puts itself into user and mount namespaces of its own first: /etc, /home, /root, /run, /tmp and /var there are the
test's.
"""

import os
import pathlib
import shutil  # noqa: F401  unittest imports it later, when the Python of someone whose home is /root is out of sight
import subprocess
import sys
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "scrub.sh"
TEXT = SCRIPT.read_text()
MATERIAL = "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYexample+of/qib="
KEY = f"ecdsa-sha2-nistp256 {MATERIAL}"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5example/of+someone someone@example.com"
OPTIONS = 'no-port-forwarding,command="echo \'Please login as the user \\"ec2-user\\"\'"'
INSTANCE = "/var/lib/cloud/instances/i-0123456789abcdef0"
SECRET = "-----BEGIN OPENSSH PRIVATE KEY-----"
MADE_OF_USER_DATA = [
    f"{INSTANCE}/{name}"
    for name in (
        "user-data.txt", "user-data.txt.i", "vendor-data.txt", "vendor-data.txt.i", "vendor-data2.txt", "cloud-config.txt",
        "vendor-cloud-config.txt", "combined-cloud-config.json", "obj.pkl", "boothooks/part-001", "scripts/part-002",
        "qib-bind-address.done", "qib-lifetime", "qib-lifetime.new",
    )
] + [
    "/run/cloud-init/combined-cloud-config.json", "/run/cloud-init/instance-data-sensitive.json",
    "/run/cloud-init/instance-data.json", "/var/log/qib-bind-address.log", "/run/qib-bind-address.17",
    "/var/log/qib-lifetime.log", "/run/qib/lifetime", "/run/qib/watcher",
]
SCRIPT_FOLDER = "/tmp/qib-0123456789abcdef0123456789abcdef"
HOST_KEYS = [f"/etc/ssh/ssh_host_{kind}_key{end}" for kind in ("ecdsa", "ed25519") for end in ("", ".pub")]
KEPT = [f"{INSTANCE}/sem/config_ssh", "/var/lib/cloud/scripts/per-boot/mine", "/etc/ssh/sshd_config", "/var/log/cloud-init.log"]
USER_KEYS, ROOT_KEYS = "/home/ec2-user/.ssh/authorized_keys", "/root/.ssh/authorized_keys"


def write(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def read(path):
    return pathlib.Path(path).read_text()


class Scrub(unittest.TestCase):
    def setUp(self):
        for folder in ("/etc/ssh", "/home", "/root", "/run", "/tmp", "/var/lib/cloud", "/var/log"):
            subprocess.run(["find", folder, "-mindepth", "1", "-delete"], check=True)
        write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nec2-user:x:1000:1000::/home/ec2-user:/bin/bash\nnobody:x:9:9::/nonexistent:/bin/false\n")
        for path in MADE_OF_USER_DATA + HOST_KEYS + KEPT:
            write(path, SECRET)
        os.symlink(INSTANCE, "/var/lib/cloud/instance")
        write(USER_KEYS, f"{OTHER}\n{KEY}\n# a comment\n")
        write(ROOT_KEYS, f"{OPTIONS} {KEY} qib\n{OPTIONS} {OTHER}\n")
        os.chmod(USER_KEYS, 0o600)

    def scrub(self, key=KEY, host_keys="remove", path=os.environ["PATH"]):
        environment = {"PATH": path, "QIB_LOGIN_KEY": key, "QIB_HOST_KEYS": host_keys}
        return subprocess.run(["/bin/sh"], input=TEXT, text=True, capture_output=True, env=environment)

    def check(self, done):
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def left(self, paths):
        return [path for path in paths if os.path.exists(path)]

    def test_everything_of_qib_goes_and_nothing_else(self):
        self.check(self.scrub())
        self.assertEqual(self.left(MADE_OF_USER_DATA + HOST_KEYS), [])
        self.assertEqual(self.left(KEPT), KEPT)
        self.assertEqual(read(USER_KEYS), f"{OTHER}\n# a comment\n")
        self.assertEqual(read(ROOT_KEYS), f"{OPTIONS} {OTHER}\n")
        self.assertEqual(os.stat(USER_KEYS).st_mode & 0o777, 0o600)

    def test_folders_of_scripts_go_and_those_with_other_names_stay(self):
        kept = ["/tmp/qib-mine/run", "/tmp/qib-0123456789ABCDEF0123456789ABCDEF/run", "/tmp/qib-0123/run", "/tmp/other/run"]
        for path in [f"{SCRIPT_FOLDER}/run", f"{SCRIPT_FOLDER}/script", *kept]:
            write(path, SECRET)
        os.symlink("/tmp/other", "/tmp/qib-ffffffffffffffffffffffffffffffff")
        self.check(self.scrub())
        self.assertFalse(os.path.exists(SCRIPT_FOLDER))
        self.assertEqual(self.left(kept), kept)

    def test_the_folder_of_the_timer_goes(self):
        self.check(self.scrub())
        self.assertFalse(os.path.exists("/run/qib"))

    def test_host_keys_of_the_image_stay(self):
        self.check(self.scrub(host_keys="keep"))
        self.assertEqual(self.left(HOST_KEYS), HOST_KEYS)

    def test_without_a_login_key_no_line_is_touched(self):
        before = read(USER_KEYS), read(ROOT_KEYS)
        self.check(self.scrub(key=""))
        self.assertEqual((read(USER_KEYS), read(ROOT_KEYS)), before)

    def test_a_second_run_changes_nothing(self):
        self.check(self.scrub())
        before = read(USER_KEYS), read(ROOT_KEYS)
        self.check(self.scrub())
        self.assertEqual((read(USER_KEYS), read(ROOT_KEYS)), before)

    def test_works_without_shred(self):
        tools = pathlib.Path("/run/tools")
        tools.mkdir()
        for name in ("rm", "grep", "sync"):
            os.symlink(f"/usr/bin/{name}", tools / name)
        self.check(self.scrub(path=str(tools)))
        self.assertEqual(self.left(MADE_OF_USER_DATA + HOST_KEYS), [])

    def test_an_empty_system_is_fine(self):
        for folder in ("/etc/ssh", "/home", "/root", "/var/lib/cloud", "/run"):
            subprocess.run(["find", folder, "-mindepth", "1", "-delete"], check=True)
        self.check(self.scrub())

    def test_what_cannot_be_removed_is_named(self):
        stuck = f"{INSTANCE}/user-data.txt"
        subprocess.run(["mount", "--bind", stuck, stuck], check=True)
        self.addCleanup(subprocess.run, ["umount", stuck], check=True)
        done = self.scrub()
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"still there: {stuck}", done.stderr)
        self.assertEqual(self.left([path for path in MADE_OF_USER_DATA if path != stuck]), [])


def prepare_namespace():
    for folder in ("/etc", "/home", "/root", "/run", "/tmp", "/var/lib", "/var/log"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    for folder in ("/etc/ssh", "/var/lib/cloud"):
        os.mkdir(folder)


if __name__ == "__main__":
    if "QIB_TEST_NAMESPACE" not in os.environ:
        os.environ["QIB_TEST_NAMESPACE"] = "1"
        arguments = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, *sys.argv]
        os.execvp(arguments[0], arguments)
    prepare_namespace()
    unittest.main()
