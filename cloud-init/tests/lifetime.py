"""Tests of lifetime.sh and extend-lifetime.sh with a clock, a shutdown and an init system of the test's own.

Run it with any Python 3:  python cloud-init/tests/lifetime.py
It puts itself into user, mount and process namespaces of its own first: /run, /var/lib, /var/log and /dev/console there
are the test's, and every process that a test starts ends with it. The PATH holds imitations of all that could end a
machine, and each says that it was called.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
LIFETIME = (SCRIPTS / "lifetime.sh").read_text()
EXTEND = (SCRIPTS / "extend-lifetime.sh").read_text()
TOOLS = pathlib.Path("/run/tools")
CLOCK = pathlib.Path("/run/clock")
CALLS = pathlib.Path("/run/calls")
FAILING = pathlib.Path("/run/failing")
CURRENT = pathlib.Path("/run/qib/lifetime")
WATCHER = pathlib.Path("/run/qib/watcher")
INSTANCE = pathlib.Path("/var/lib/cloud/instance")
EXTENDED = INSTANCE / "qib-lifetime"
LOG = pathlib.Path("/var/log/qib-lifetime.log")
CONSOLE = pathlib.Path("/dev/console")
HOOK = INSTANCE / "boothooks/part-002"
RENDERED, END = 1_800_000_000, 1_800_014_400
SOON = 10

# Says what it was called with; fails if the test wants it to.
CALLED = f"""#!/bin/sh
echo "${{0##*/}} $*" >>{CALLS}
! grep -qx "${{0##*/}} $*" {FAILING}
"""
# Only the question for the time has an answer of the test's.
DATE = f"""#!/bin/sh
case "$*" in
+%s) cat {CLOCK} ;;
*) exec /usr/bin/date "$@" ;;
esac
"""
# A watcher that looks every ten seconds would make the tests wait.
SLEEP = "#!/bin/sh\nexec /usr/bin/sleep 0.02\n"
# Starts what it is told to, as the init system would: apart from the caller.
SYSTEMD_RUN = f"""#!/bin/sh
echo "${{0##*/}} $*" >>{CALLS}
while [ "${{1#--}}" != "$1" ]; do shift; done
setsid "$@" </dev/null >/dev/null 2>&1 &
"""
SYSTEMD_RUN_IN_VAIN = f"""#!/bin/sh
echo "${{0##*/}} $*" >>{CALLS}
"""


def write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def rendered(text, **values):
    for name, value in values.items():
        text = text.replace(f"@@{name}@@", str(value))
    assert "='@@" not in text, "a placeholder is left"
    return text


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def lives(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


class Lifetime(unittest.TestCase):
    shell = "sh"

    def setUp(self):
        self.end_all_others()
        for folder in ("/run", "/var/lib", "/var/log"):
            subprocess.run(["find", folder, "-mindepth", "1", "-delete"], check=True)
        for name in ("shutdown", "poweroff", "systemctl", "reboot", "halt"):
            write(TOOLS / name, CALLED, 0o755)
        write(TOOLS / "date", DATE, 0o755)
        write(TOOLS / "sleep", SLEEP, 0o755)
        write(TOOLS / "systemd-run", SYSTEMD_RUN, 0o755)
        write(FAILING, "")
        write(CONSOLE, "")
        self.set_clock(RENDERED + 5)

    def tearDown(self):
        self.end_all_others()

    @staticmethod
    def end_all_others():
        """Ends what a test has left: all processes of the namespace but its first ones, which are these tests."""
        own = {1, os.getpid()}
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in own:
                try:
                    os.kill(int(name), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    break
            except ChildProcessError:
                break

    @staticmethod
    def kill(pid):
        """Ends an orphan and buries it, as an init system does: these tests are process 1 of their namespace."""
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def set_clock(self, seconds):
        write(CLOCK.with_suffix(".new"), f"{seconds}\n")
        CLOCK.with_suffix(".new").rename(CLOCK)

    def boot(self, end=END, init=False):
        """Runs the boothook as cloud-init does: with pipes, reading to their end."""
        if init:
            pathlib.Path("/run/systemd/system").mkdir(parents=True, exist_ok=True)
        write(HOOK, rendered(LIFETIME, END=end, RENDERED=RENDERED), 0o700)
        environment = {"PATH": f"{TOOLS}:/usr/bin:/bin"}
        done = subprocess.run([self.shell, HOOK], capture_output=True, env=environment, timeout=10)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def until(self, condition, what):
        deadline = time.monotonic() + SOON
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"{what}: {lines(LOG)} {lines(CALLS)}")
            time.sleep(0.01)

    def watcher(self):
        self.until(lambda: lines(LOG) and lines(WATCHER), "no watcher")
        return int(lines(WATCHER)[0])

    def watchers(self):
        return [line for line in lines(LOG) if " this instance ends at " in line]

    def looks_a_few_times(self):
        """Returns after the watcher has asked for the time again and again."""
        for _ in range(3):
            os.utime(CLOCK, (0, 0))
            self.until(lambda: os.stat(CLOCK).st_atime > 0, "the watcher does not look at the clock")

    def calls(self):
        return [call for call in lines(CALLS) if not call.startswith("systemd-run ")]

    def dies(self, call="shutdown -P now"):
        self.until(lambda: call in self.calls(), f"{call} was not called")

    def test_the_end_ends_the_instance_and_nothing_before_it(self):
        self.boot()
        pid = self.watcher()
        self.set_clock(END - 1)
        self.looks_a_few_times()
        self.assertEqual(self.calls(), [])
        self.set_clock(END)
        self.dies()
        self.assertTrue(lives(pid))
        self.assertEqual(self.calls()[0], "shutdown -P now")
        said = "qib-lifetime: this instance's life is over (launch.max_lifetime), shutting down: attempt 1"
        self.assertEqual(lines(CONSOLE)[0], said)
        self.assertRegex(LOG.read_text(), r"qib-lifetime: \S+Z this instance ends at 2027-01-15T12:00:00Z unless ")

    def test_the_log_and_the_end_can_be_read_by_everyone(self):
        self.boot()
        self.watcher()
        self.assertEqual(LOG.stat().st_mode & 0o777, 0o644)
        self.assertEqual(CURRENT.stat().st_mode & 0o777, 0o644)
        self.assertEqual(lines(CURRENT), [str(END)])

    def test_a_later_end_holds_as_soon_as_it_is_written(self):
        self.boot()
        self.watcher()
        write(CURRENT, f"{END + 3600}\n")
        self.until(lambda: "this instance now ends at 2027-01-15T13:00:00Z" in LOG.read_text(), "not read")
        self.set_clock(END + 3599)
        self.looks_a_few_times()
        self.assertEqual(self.calls(), [])
        self.set_clock(END + 3600)
        self.dies()

    def test_what_is_no_moment_changes_nothing(self):
        self.boot()
        self.watcher()
        for text in ("", "soon", "-1", "0", "01800014401", "1800014401 ; reboot", "9" * 13):
            write(CURRENT, text)
            self.looks_a_few_times()
            self.set_clock(END - 1)
            self.looks_a_few_times()
        self.assertEqual(self.calls(), [])
        self.set_clock(END)
        self.dies()

    def test_the_end_comes_even_when_the_clean_up_has_been_there(self):
        self.boot()
        self.watcher()
        shutil.rmtree(CURRENT.parent)
        shutil.rmtree(INSTANCE)
        self.looks_a_few_times()
        self.assertEqual(self.calls(), [])
        self.set_clock(END)
        self.dies()

    def test_without_the_right_time_the_time_since_the_boot_decides(self):
        self.set_clock(1000)
        with self.uptime(END - RENDERED - 1):
            self.boot()
            self.watcher()
            self.looks_a_few_times()
            self.assertEqual(self.calls(), [])
        with self.uptime(END - RENDERED):
            self.dies()

    def uptime(self, seconds):
        class Uptime:
            def __enter__(self):
                write(pathlib.Path("/run/uptime"), f"{seconds}.25 1.00\n")
                subprocess.run(["mount", "--bind", "/run/uptime", "/proc/uptime"], check=True)

            def __exit__(self, *_):
                subprocess.run(["umount", "/proc/uptime"], check=True)

        return Uptime()

    def test_a_second_run_of_the_hook_is_harmless(self):
        self.boot()
        pid = self.watcher()
        write(CURRENT, f"{END + 3600}\n")
        for _ in range(3):
            self.boot()
        self.looks_a_few_times()
        self.assertEqual(self.watcher(), pid)
        self.assertEqual(len(self.watchers()), 1)
        self.assertEqual(lines(CURRENT), [str(END + 3600)])

    def test_many_at_once_are_one_watcher(self):
        write(HOOK, rendered(LIFETIME, END=END, RENDERED=RENDERED), 0o700)
        CURRENT.parent.mkdir()
        environment = {"PATH": f"{TOOLS}:/usr/bin:/bin"}
        run = [subprocess.Popen([self.shell, HOOK, "watch"], env=environment) for _ in range(12)]
        pid = self.watcher()
        self.until(lambda: [one.pid for one in run if one.poll() is None] == [pid], "several watchers")
        self.assertEqual(len(self.watchers()), 1)
        self.assertEqual([path.name for path in CURRENT.parent.glob("watcher*")], ["watcher"])
        for one in run:
            one.kill()
            one.wait()

    def test_a_watcher_that_died_is_replaced(self):
        self.boot()
        pid = self.watcher()
        self.kill(pid)
        self.boot()
        self.until(lambda: len(self.watchers()) == 2, "no new watcher")
        self.set_clock(END)
        self.dies()

    def test_shutting_down_is_tried_in_every_way_and_at_last_without_patience(self):
        write(FAILING, "shutdown -P now\npoweroff \nsystemctl poweroff\n")
        self.boot()
        self.watcher()
        self.set_clock(END)
        self.dies("poweroff -f")
        one = ["shutdown -P now", "poweroff ", "systemctl poweroff"]
        calls = self.calls()
        self.assertEqual(calls[: 5 * len(one) + 1], one * 5 + ["poweroff -f"])
        self.assertIn("qib-lifetime: shutting down failed, next attempt in 60 s", lines(CONSOLE))

    def test_an_init_system_gives_it_a_unit_that_waits_for_nothing(self):
        self.boot(init=True)
        self.watcher()
        # A second run of the hook finds the watcher and asks for no other.
        self.boot(init=True)
        self.looks_a_few_times()
        self.assertEqual(
            lines(CALLS),
            [f"systemd-run --no-block --collect --unit=qib-lifetime --property=DefaultDependencies=no /bin/sh {HOOK} watch"],
        )
        self.looks_a_few_times()
        self.assertEqual(len(self.watchers()), 1)
        self.set_clock(END)
        self.dies()

    def test_an_init_system_that_refuses_or_does_nothing_is_no_reason_to_live_on(self):
        for systemd_run in (CALLED, SYSTEMD_RUN_IN_VAIN):
            with self.subTest(systemd_run):
                self.setUp()
                write(TOOLS / "systemd-run", systemd_run, 0o755)
                pathlib.Path("/run/systemd/system").mkdir(parents=True)
                if systemd_run is CALLED:
                    write(FAILING, f"systemd-run --no-block --collect --unit=qib-lifetime "
                                   f"--property=DefaultDependencies=no /bin/sh {HOOK} watch\n")
                self.boot()
                self.watcher()
                self.set_clock(END)
                self.dies()
                self.assertEqual(len(self.watchers()), 1)

    def test_a_console_that_is_not_there_is_no_reason_to_live_on(self):
        self.boot()
        self.watcher()
        CONSOLE.chmod(0)
        subprocess.run(["mount", "-o", "remount,bind,ro", "/dev/console"], check=True)
        self.addCleanup(subprocess.run, ["mount", "-o", "remount,bind,rw", "/dev/console"], check=True)
        self.set_clock(END)
        self.dies()

    def extend(self, end):
        environment = {"PATH": f"{TOOLS}:/usr/bin:/bin"}
        text = rendered(EXTEND, END=end)
        return subprocess.run(
            [self.shell, "-s"], input=text, capture_output=True, text=True, env=environment, timeout=10)

    def test_an_extension_holds_now_and_after_a_reboot(self):
        self.boot()
        pid = self.watcher()
        done = self.extend(END + 7200)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, f"{END + 7200}\n", ""))
        self.until(lambda: "now ends at 2027-01-15T14:00:00Z" in LOG.read_text(), "not read")
        # The reboot: /run is empty, the instance's folder is not.
        self.kill(pid)
        shutil.rmtree(CURRENT.parent)
        LOG.unlink()
        self.set_clock(END + 7199)
        self.boot()
        self.watcher()
        self.looks_a_few_times()
        self.assertEqual(self.calls(), [])
        self.set_clock(END + 7200)
        self.dies()

    def test_an_extension_of_nothing_says_so(self):
        self.assertEqual(self.extend(END + 1).returncode, 3)
        self.assertFalse(EXTENDED.exists())
        self.boot()
        pid = self.watcher()
        self.kill(pid)
        self.assertEqual(self.extend(END + 1).returncode, 3)
        self.assertEqual(lines(CURRENT), [str(END)])


class LifetimeInBash(Lifetime):
    """/bin/sh of RHEL and Amazon Linux."""

    shell = "bash"


def prepare_namespace():
    # Of this namespace's processes, so that a test can see and end what it started.
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    for folder in ("/run", "/var/lib", "/var/log"):
        # The clock's file tells by its access time that it was looked at.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "strictatime", "tmpfs", folder], check=True)
    write(pathlib.Path("/var/log/console"), "")
    subprocess.run(["mount", "--bind", "/var/log/console", "/dev/console"], check=True)


if __name__ == "__main__":
    if "QIB_TEST_NAMESPACE" not in os.environ:
        os.environ["QIB_TEST_NAMESPACE"] = "1"
        arguments = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", sys.executable, *sys.argv]
        os.execvp(arguments[0], arguments)
    prepare_namespace()
    unittest.main()
