"""Tests of bind-address.sh against a metadata service and an EC2 that misbehave as the real ones do.

Run it with a Python that has botocore, which judges the signatures:  python cloud-init/tests/bind_address.py
It puts itself into user, network and mount namespaces of its own first: 169.254.169.254, /dev/console and the log
there are the test's. Needs unshare, ip and openssl.
"""

import http.server
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import threading
import time
import tty
import unittest
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "bind-address.sh"
INSTANCE = "i-0123456789abcdef0"
ALLOCATION = "eipalloc-0123456789abcdef0"
ADDRESS = "198.51.100.7"
RANDOM_ADDRESS = "203.0.113.9"
KEY = botocore.credentials.Credentials("ASIAEXAMPLEEXAMPLE01", "se/cret+EXAMPLE/key", "to/ken+EXAMPLE==")
LOG = pathlib.Path("/var/log/qib-bind-address.log")


class Console:
    """/dev/console as a terminal, so that the script could hang it up if it were careless."""

    def __init__(self):
        self.text = ""
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        subprocess.run(["mount", "--bind", os.ttyname(self.slave), "/dev/console"], check=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            # Not in one expression: that would take the old text before it waits.
            new = os.read(self.master, 4096).decode()
            self.text += new

    def works(self):
        self.text = ""
        with open("/dev/console", "w", opener=lambda path, flags: os.open(path, os.O_WRONLY | os.O_NOCTTY)) as console:
            console.write("still here")
        deadline = time.monotonic() + 5
        while self.text != "still here" and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.text == "still here"


class World:
    """What the instance sees: its metadata, and what EC2 answers, one answer per call."""

    def __init__(self, answers=("bound",), profile=True, credentials_after=0):
        self.answers = list(answers)
        self.profile = profile
        self.credentials_after = credentials_after
        self.public_ip = RANDOM_ADDRESS
        self.calls = []
        self.bad_signatures = []
        self.without_token = 0

    def bind(self):
        self.public_ip = ADDRESS


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class Imds(http.server.BaseHTTPRequestHandler):
    world = None

    def log_message(self, *_):
        pass

    def reply(self, status, text=""):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        ok = self.path == "/latest/api/token" and ttl and 1 <= int(ttl) <= 21600
        self.reply(200, "imds/token==") if ok else self.reply(400)

    def do_GET(self):
        world = self.world
        if self.headers.get("X-aws-ec2-metadata-token") != "imds/token==":
            world.without_token += 1
            return self.reply(401)
        path = self.path.removeprefix("/latest/meta-data/")
        if path == "instance-id":
            return self.reply(200, INSTANCE)
        if path == "public-ipv4":
            return self.reply(200, world.public_ip)
        if world.profile and path == "iam/info":
            return self.reply(200, '{"Code":"Success"}')
        if world.profile and world.credentials_after > 0 and path.startswith("iam/security-credentials/"):
            world.credentials_after -= 1
            return self.reply(404)
        if world.profile and path == "iam/security-credentials/":
            return self.reply(200, "the-role")
        if world.profile and path == "iam/security-credentials/the-role":
            fields = {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": KEY.access_key,
                "SecretAccessKey": KEY.secret_key,
                "Token": KEY.token,
            }
            return self.reply(200, json.dumps(fields, indent=2))
        self.reply(404)


class Ec2(http.server.BaseHTTPRequestHandler):
    world = None

    def log_message(self, *_):
        pass

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def error(self, status, code, message):
        self.reply(status, f'<?xml version="1.0"?>\n<Response><Errors><Error><Code>{code}</Code>'
                           f"<Message>{message}</Message></Error></Errors><RequestID>1</RequestID></Response>")

    def signed_well(self, body):
        given = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)", self.headers["Authorization"] or "")
        if not given:
            return False
        credential, names, signature = given.groups()
        date = self.headers["X-Amz-Date"]
        if credential != f"{KEY.access_key}/{date[:8]}/us-east-2/ec2/aws4_request":
            return False
        if not {"host", "x-amz-date", "x-amz-security-token"} <= set(names.split(";")):
            return False
        if self.headers["X-Amz-Security-Token"] != KEY.token:
            return False
        headers = {name: self.headers[name] for name in names.split(";")}
        request = botocore.awsrequest.AWSRequest("POST", f"http://{self.headers['Host']}/", headers=headers, data=body)
        request.context["timestamp"] = date
        auth = botocore.auth.SigV4Auth(KEY, "ec2", "us-east-2")
        text = auth.string_to_sign(request, auth.canonical_request(request))
        return auth.signature(text, request) == signature

    def do_POST(self):
        world = self.world
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.signed_well(body):
            world.bad_signatures.append(dict(self.headers))
            return self.error(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
        query = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        world.calls.append(query)
        answer = world.answers.pop(0) if len(world.answers) > 1 else world.answers[0]
        if callable(answer):
            return answer(self, world)
        world.bind()
        self.reply(200, "<AssociateAddressResponse><return>true</return><associationId>eipassoc-1</associationId></AssociateAddressResponse>")


def reply_lost(handler, world):
    """The random address goes in the middle of the call, and with it the connection."""
    world.bind()
    time.sleep(30)


def connection_cut(handler, world):
    world.bind()
    handler.connection.close()


def throttled(handler, _):
    handler.error(503, "RequestLimitExceeded", "Request limit exceeded.")


def held(handler, _):
    handler.error(400, "Resource.AlreadyAssociated", f"resource {ALLOCATION} is already associated")


def unauthorized(handler, _):
    handler.error(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")


def unknown_allocation(handler, _):
    handler.error(400, "InvalidAllocationID.NotFound", f"The allocation ID '{ALLOCATION}' does not exist")


def repeats_credentials(handler, _):
    handler.error(403, "SignatureDoesNotMatch", f"The canonical string was x-amz-security-token:{KEY.token}")


class BindAddress(unittest.TestCase):
    client = None

    def run_script(self, world, deadline=20, https=False):
        # The servers of a run before this one, in the same test.
        self.doCleanups()
        LOG.write_text("")
        CONSOLE.text = ""
        pathlib.Path("/var/lib/cloud/instance/qib-bind-address.done").unlink(missing_ok=True)
        Imds.world = Ec2.world = world
        imds, ec2 = Server(("169.254.169.254", 80), Imds), Server(("127.0.0.1", 0), Ec2)
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        if https:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain("/run/cert.pem", "/run/key.pem")
            ec2.socket = context.wrap_socket(ec2.socket, server_side=True)
            environment["SSL_CERT_FILE"] = "/run/cert.pem"
        for server in (imds, ec2):
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            self.addCleanup(server.server_close)
            self.addCleanup(server.shutdown)
        values = {
            "REGION": "us-east-2",
            "PARTITION": "aws",
            "ENDPOINT": f"{'https' if https else 'http'}://127.0.0.1:{ec2.server_port}",
            "ALLOCATION_ID": ALLOCATION,
            "PUBLIC_IP": ADDRESS,
            "DEADLINE_SECONDS": str(deadline),
        }
        text = SCRIPT.read_text()
        for name, value in values.items():
            text = text.replace(f"@@{name}@@", value)
        self.assertIsNone(re.search(r"='@@", text), "a placeholder is left")
        script = pathlib.Path("/run/part-001")
        script.write_text(text)
        started = time.monotonic()
        # As cloud-init does it: with pipes, reading to their end.
        foreground = subprocess.run(["sh", script], capture_output=True, env=environment, timeout=10)
        self.assertEqual((foreground.returncode, foreground.stdout, foreground.stderr), (0, b"", b""))
        while not re.search("^qib-bind-address: (bound|FAILED) .*\n", CONSOLE.text, re.M):
            self.assertLess(time.monotonic() - started, deadline + 25, LOG.read_text())
            time.sleep(0.05)
        said = CONSOLE.text
        for text in (said, LOG.read_text()):
            for secret in (KEY.secret_key, KEY.token, "imds/token=="):
                self.assertNotIn(secret, text)
        self.assertEqual(said, LOG.read_text())
        self.assertEqual(LOG.stat().st_mode & 0o777, 0o644)
        self.assertEqual(world.bad_signatures, [])
        self.assertEqual(world.without_token, 0)
        # Also checks that the client is the one that this class is about.
        self.assertIn(f"requests go through {self.client}", said)
        return said

    def bound(self, said):
        return f"\nqib-bind-address: bound {ADDRESS} to {INSTANCE}\n" in said

    def test_binds_without_taking_the_address_from_anyone(self):
        world = World()
        self.assertTrue(self.bound(self.run_script(world)))
        self.assertEqual(world.calls, [{
            "Action": "AssociateAddress", "Version": "2016-11-15", "InstanceId": INSTANCE,
            "AllocationId": ALLOCATION, "AllowReassociation": "false",
        }])

    def test_speaks_https(self):
        self.assertTrue(self.bound(self.run_script(World(), https=True)))

    def test_does_not_wait_for_a_reply_that_is_lost(self):
        world = World([reply_lost])
        self.assertTrue(self.bound(self.run_script(world)))
        self.assertEqual(len(world.calls), 1)

    def test_a_connection_cut_in_the_middle_of_the_call_is_no_failure(self):
        self.assertTrue(self.bound(self.run_script(World([connection_cut]))))

    def test_the_reply_is_not_success(self):
        accepted = lambda handler, _: handler.reply(200, "<return>true</return>")
        said = self.run_script(World([accepted]), deadline=2)
        self.assertIn("FAILED EC2 accepted the binding, but the metadata service does not show", said)

    def test_goes_on_when_throttled_and_while_the_address_is_held(self):
        world = World([throttled, held, "bound"])
        said = self.run_script(world)
        self.assertTrue(self.bound(said))
        self.assertIn("attempt 1: AssociateAddress: RequestLimitExceeded: Request limit exceeded.", said)
        self.assertIn("attempt 2: AssociateAddress: Resource.AlreadyAssociated", said)

    def test_an_address_that_stays_held_fails_at_the_deadline(self):
        said = self.run_script(World([held]), deadline=3)
        self.assertIn(f"FAILED AssociateAddress: Resource.AlreadyAssociated: resource {ALLOCATION}", said)

    def test_waits_for_credentials(self):
        self.assertTrue(self.bound(self.run_script(World(credentials_after=2))))

    def test_permanent_errors_end_at_the_first_call(self):
        for answer, reason in ((unauthorized, "UnauthorizedOperation"), (unknown_allocation, "InvalidAllocationID.NotFound")):
            with self.subTest(reason):
                world = World([answer])
                self.assertIn(f"FAILED AssociateAddress: {reason}: ", self.run_script(world, deadline=300))
                self.assertEqual(len(world.calls), 1)

    def test_without_an_instance_profile_it_gives_up_long_before_the_deadline(self):
        world = World(profile=False)
        self.assertIn("FAILED the instance has no instance profile", self.run_script(world, deadline=300))
        self.assertEqual(world.calls, [])

    def test_a_reply_that_repeats_credentials_is_not_repeated(self):
        said = self.run_script(World([repeats_credentials]), deadline=1)
        self.assertIn("SignatureDoesNotMatch: (reply withheld", said)

    def test_an_address_that_is_there_already_needs_no_call(self):
        world = World()
        world.bind()
        self.assertTrue(self.bound(self.run_script(world)))
        self.assertEqual(world.calls, [])

    def test_the_console_outlives_the_script(self):
        self.run_script(World())
        wait_for_workers()
        self.assertTrue(CONSOLE.works())

    def test_once_bound_the_next_boot_does_nothing(self):
        self.run_script(World())
        world = World()
        Imds.world = Ec2.world = world
        before = LOG.read_text()
        subprocess.run(["sh", "/run/part-001"], check=True, timeout=10)
        self.assertEqual(LOG.read_text(), before)


class WithPython(BindAddress):
    client = "python3"


class WithCurl(BindAddress):
    client = "curl"

    @classmethod
    def setUpClass(cls):
        # No Python in this guest: something that cannot be run hides it.
        cls.hidden = [path for path in ("/usr/bin/python3", "/usr/libexec/platform-python") if os.path.exists(path)]
        for path in cls.hidden:
            subprocess.run(["mount", "--bind", "/dev/null", path], check=True)

    @classmethod
    def tearDownClass(cls):
        for path in cls.hidden:
            subprocess.run(["umount", path], check=True)


def wait_for_workers():
    """Until no worker is left: what it does at its end is done then."""
    while subprocess.run(["pgrep", "--full", "part-001 worker"], stdout=subprocess.DEVNULL).returncode == 0:
        time.sleep(0.01)


def prepare_namespace():
    for command in (
        "ip link set lo up",
        "ip address add 169.254.169.254/32 dev lo",
        "mount -t tmpfs tmpfs /var/log",
        "mount -t tmpfs tmpfs /run",
        "mount -t tmpfs tmpfs /var/lib",
        "mkdir -p /var/lib/cloud/instance",
    ):
        subprocess.run(command.split(), check=True)
    subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1 "
        "-keyout /run/key.pem -out /run/cert.pem".split(), check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    if "QIB_TEST_NAMESPACE" not in os.environ:
        os.environ["QIB_TEST_NAMESPACE"] = "1"
        arguments = ["unshare", "--user", "--map-root-user", "--net", "--mount", sys.executable, *sys.argv]
        os.execvp(arguments[0], arguments)
    prepare_namespace()
    CONSOLE = Console()
    del BindAddress
    unittest.main()
