#!/bin/sh
# Binds an Elastic IP to the instance that this runs on. qib puts it into user-data as a part of type
# text/cloud-boothook, which cloud-init runs early in the boot, before cloud-config and before any package is installed.
#
# ASCII only: text in another encoding would travel as base64, and user-data is small.
#
# It needs nothing installed: the Python that cloud-init itself runs on, or else curl from 7.75 on, for requests and
# their signatures. Credentials are the instance profile's; they stay in variables and pipes of this process, and never
# stand in arguments, files or output.
#
#   boot --> worker in the background --> is the address here? -- yes ----------------------> bound
#                                           ^       | no
#                                           |       v
#                                   pause --'   AssociateAddress; does IMDS show it? -- yes --> bound
#                                     ^             | no
#                                     '-- passing --+-- permanent, or out of time ----------> FAILED
#
# Success is the metadata service (IMDS) showing the address. The reply of AssociateAddress is never taken for it:
# binding takes the instance's random public address away in the middle of the call, so that the reply is often lost.
#
# Output goes to /var/log/qib-bind-address.log and to the console, and ends in one of these lines:
#   qib-bind-address: bound ADDRESS to INSTANCE
#   qib-bind-address: FAILED REASON
#
# Filled in by plain text replacement of these names between doubled at-signs (they stand without here, so that only the
# assignments are replaced). The values must be free of quotes, backslashes, blanks and line ends:
#   REGION                region to sign for, such as us-east-2
#   PARTITION             its partition, such as aws (said in the log)
#   ENDPOINT              EC2's endpoint as seen from the instance: http or https, no slash at its end
#   ALLOCATION_ID         the address's allocation, eipalloc-...
#   PUBLIC_IP             the address itself
#   DEADLINE_SECONDS      how long to try, from the start of this script
set -u
umask 022

REGION='@@REGION@@'
PARTITION='@@PARTITION@@'
ENDPOINT='@@ENDPOINT@@'
ALLOCATION='@@ALLOCATION_ID@@'
ADDRESS='@@PUBLIC_IP@@'
DEADLINE='@@DEADLINE_SECONDS@@'

IMDS=http://169.254.169.254/latest
LOG=/var/log/qib-bind-address.log
REPLY=/run/qib-bind-address.$$
# Belongs to the instance, not to the image: cloud-init keeps one such folder per instance id.
DONE=/var/lib/cloud/instance/qib-bind-address.done
# How long one request may take, and how long the longest pause between attempts is.
REQUEST_SECONDS=10
LONGEST_PAUSE=15
# IMDS may show an address that is bound only some seconds later.
SETTLE_SECONDS=20
# An instance's profile may show up some seconds after the instance.
PROFILE_GRACE_SECONDS=8
NL='
'

# One line, to the log and the console. A console that is not there or not writable is no reason to stop.
say() {
    printf 'qib-bind-address: %s\n' "$1" >>"$LOG"
    { printf 'qib-bind-address: %s\n' "$1" >>/dev/console; } 2>/dev/null || :
}

fail() {
    say "FAILED $1"
    exit 1
}

# Seconds since the boot: the wall clock may still be set during it.
now() {
    read -r up _ </proc/uptime
    printf '%s' "${up%%.*}"
}

# Reads curl's configuration format as `request` below writes it, and prints the body, a line end and the status.
# It holds no single quote, because it stands between two.
PYTHON_CLIENT='
import hashlib, hmac, http.client, re, signal, sys, time
from urllib.parse import urlsplit

options, headers = {}, {}
for line in sys.stdin.read().splitlines():
    name, value = re.match("([a-z0-9-]+) = \"(.*)\"$", line).groups()
    if name == "header":
        header, value = value.split(": ", 1)
        headers[header] = value
    else:
        options[name] = value

def sign(url, method, body):
    """AWS Signature Version 4 of the request, into its headers."""
    algorithm, service = "AWS4-HMAC-SHA256", "ec2"
    access_key, secret = options["user"].split(":", 1)
    region = options["aws-sigv4"].split(":")[2]
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers["Host"], headers["X-Amz-Date"] = url.netloc, moment
    lower = sorted((name.lower(), value.strip()) for name, value in headers.items())
    names = ";".join(name for name, _ in lower)
    digest = lambda text: hashlib.sha256(text.encode()).hexdigest()
    canonical = "\n".join([method, url.path or "/", url.query, "".join("%s:%s\n" % pair for pair in lower), names, digest(body)])
    scope = "/".join([moment[:8], region, service, "aws4_request"])
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = "\n".join([algorithm, moment, scope, digest(canonical)])
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = "%s Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (algorithm, access_key, scope, names, signature)

def late(*_):
    raise OSError("no answer within %s s" % sys.argv[1])

signal.signal(signal.SIGALRM, late)
signal.alarm(int(sys.argv[1]))
try:
    url, method, body = urlsplit(options["url"]), options["request"], options.get("data", "")
    if body:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if "user" in options:
        sign(url, method, body)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.netloc)
    target = (url.path or "/") + ("?" + url.query if url.query else "")
    connection.request(method, target, body.encode() or None, headers)
    answer = connection.getresponse()
    print(answer.read().decode("utf-8", "replace") + "\n%d" % answer.status)
except (OSError, http.client.HTTPException) as error:
    print("%s: %s\n000" % (type(error).__name__, error))
except ValueError as error:
    # Its text may repeat a header, and with it a credential.
    print("%s\n000" % type(error).__name__)
'

python_client() {
    "$python" -c "$PYTHON_CLIENT" "$REQUEST_SECONDS" 2>&1
}

curl_client() {
    curl --disable --silent --show-error --noproxy '*' --max-time "$REQUEST_SECONDS" --write-out '\n%{http_code}\n' --config - 2>&1
}

# Sets `client` to what this guest can send requests with.
choose_client() {
    for python in /usr/libexec/platform-python python3 /usr/bin/python3; do
        if "$python" -c 'import hashlib, hmac, http.client, ssl' >/dev/null 2>&1; then
            client=python_client
            say "requests go through $python"
            return
        fi
    done
    version=$(curl --version 2>/dev/null | sed -n '1s/^curl \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
    major=${version% *} minor=${version#* }
    if [ -n "$version" ] && { [ "$major" -gt 7 ] || { [ "$major" -eq 7 ] && [ "$minor" -ge 75 ]; }; }; then
        client=curl_client
        say "requests go through curl $major.$minor"
        return
    fi
    fail 'this image has neither Python 3 nor curl 7.75 or newer; use bind: api'
}

# Splits what a client printed into `body` and `status`; 000 if there was no whole reply, `body` then says why.
read_answer() {
    status=${1##*"$NL"}
    body=${1%"$NL"*}
    case $status in
    [1-5][0-9][0-9]) ;;
    *) status=000 ;;
    esac
}

# Sends what $1 configures.
request() {
    if answer=$(printf '%s\n' "$1" | "$client"); then read_answer "$answer"; else
        read_answer "$answer"
        # There may be a status, but not the whole reply.
        status=000
    fi
}

# GET of an IMDS path, with IMDSv2's session token; true if there is such a thing.
imds_token=
imds() {
    if [ -z "$imds_token" ]; then
        request "request = \"PUT\"${NL}url = \"$IMDS/api/token\"${NL}header = \"X-aws-ec2-metadata-token-ttl-seconds: 21600\""
        [ "$status" = 200 ] || return 1
        imds_token=$body
    fi
    request "request = \"GET\"${NL}url = \"$IMDS/meta-data/$1\"${NL}header = \"X-aws-ec2-metadata-token: $imds_token\""
    # An outdated token; the next call fetches another.
    if [ "$status" = 401 ]; then imds_token=; fi
    [ "$status" = 200 ]
}

shows_address() {
    imds public-ipv4 && [ "$body" = "$ADDRESS" ]
}

# The text of `body` on one line, short enough for a console and without a secret that a service might have echoed.
body_line() {
    case $body in
    *"${secret:-$NL$NL}"* | *"${session:-$NL$NL}"* | *"${imds_token:-$NL$NL}"*) printf '(reply withheld: it repeats credentials)' ;;
    *) printf '%s' "$body" | tr '\n\t' '  ' | tr -d '\000-\037\177' | cut -c 1-400 ;;
    esac
}

json_field() {
    printf '%s' "$body" | tr '\n' ' ' | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\\([^\"]*\\)\".*/\\1/p"
}

xml_field() {
    printf '%s' "$body" | tr '\n' ' ' | sed -n "s/.*<$1>\\([^<]*\\)<\\/$1>.*/\\1/p"
}

# Sets `access_key`, `secret` and `session` from the instance profile; if there is nothing yet, `reason`.
read_credentials() {
    if ! imds iam/security-credentials/; then
        reason="the metadata service has no credentials (HTTP $status)"
        if [ "$status" = 404 ] && [ "$(now)" -ge $((started + PROFILE_GRACE_SECONDS)) ] && ! imds iam/info && [ "$status" = 404 ]; then
            fail 'the instance has no instance profile, so it cannot call EC2; set launch.instance_profile, or use bind: api'
        fi
        return 1
    fi
    role=${body%%"$NL"*}
    if ! imds "iam/security-credentials/$role"; then
        reason="the metadata service has no credentials of the role $role (HTTP $status)"
        return 1
    fi
    access_key=$(json_field AccessKeyId) secret=$(json_field SecretAccessKey) session=$(json_field Token)
    if [ -z "$access_key" ] || [ -z "$secret" ] || [ -z "$session" ]; then
        reason="the role $role gives no credentials yet ($(json_field Code))"
        return 1
    fi
}

# Calls AssociateAddress in the background, because IMDS may show the address before the reply comes, if it ever comes.
# True as soon as the address shows; else `status` and `body` are the reply's.
associate() {
    rm -f "$REPLY" "$REPLY.part"
    # Reassociation is automatic in a VPC unless it is refused in so many words.
    query="Action=AssociateAddress&Version=2016-11-15&InstanceId=$instance&AllocationId=$ALLOCATION&AllowReassociation=false"
    {
        printf '%s\n' "request = \"POST\"${NL}url = \"$ENDPOINT/\"${NL}data = \"$query\"" \
            "user = \"$access_key:$secret\"${NL}aws-sigv4 = \"aws:amz:$REGION:ec2\"" \
            "header = \"X-Amz-Security-Token: $session\"" | "$client" >"$REPLY.part"
        mv "$REPLY.part" "$REPLY"
    } &
    looks=0
    until [ -e "$REPLY" ]; do
        # Not every sleep knows fractions of a second.
        sleep 0.2 2>/dev/null || sleep 1
        looks=$((looks + 1))
        if [ $((looks % 5)) -eq 0 ] && shows_address; then return 0; fi
    done
    wait
    read_answer "$(cat "$REPLY")"
    rm -f "$REPLY"
    return 1
}

settle() {
    until=$(($(now) + SETTLE_SECONDS))
    if [ "$until" -gt $((started + DEADLINE)) ]; then until=$((started + DEADLINE)); fi
    while [ "$(now)" -lt "$until" ]; do
        if shows_address; then return 0; fi
        sleep 0.5 2>/dev/null || sleep 1
    done
    reason="EC2 accepted the binding, but the metadata service does not show $ADDRESS"
    return 1
}

# What a reply other than success means.
judge() {
    code=$(xml_field Code)
    if [ -z "$code" ]; then
        reason="AssociateAddress: HTTP $status: $(body_line)"
        return
    fi
    whole=$body
    body=$(xml_field Message)
    reason="AssociateAddress: $code: $(body_line)"
    body=$whole
    case $code in
    UnauthorizedOperation | InvalidAllocationID.* | InvalidParameter* | MissingParameter | UnknownParameter | \
        InvalidAction | Gateway.NotAttached | OptInRequired | Blocked | PendingVerification)
        fail "$reason"
        ;;
    esac
}

# True once the address is bound; else `reason` says why not.
attempt() {
    if [ -z "$instance" ]; then
        if ! imds instance-id; then
            reason="the metadata service does not answer (HTTP $status: $(body_line))"
            return 1
        fi
        instance=$body
    fi
    if shows_address; then return 0; fi
    read_credentials || return 1
    if associate; then return 0; fi
    if [ "$status" = 200 ]; then
        settle
    else
        judge
        return 1
    fi
}

# An exponential pause with jitter, so that several instances do not call in step; never beyond the deadline.
pause() {
    random=$(od -A n -N 1 -t u1 /dev/urandom | tr -d ' ')
    seconds=$(((backoff + 1) / 2 + ${random:-0} % (backoff / 2 + 1)))
    if [ "$seconds" -gt "$left" ]; then seconds=$left; fi
    say "attempt $attempts: $reason; next in $seconds s, $left s left"
    sleep "$seconds"
    backoff=$((backoff * 2))
    if [ "$backoff" -gt "$LONGEST_PAUSE" ]; then backoff=$LONGEST_PAUSE; fi
}

worker() {
    started=$(now)
    instance='' attempts=0 backoff=1
    say "$(date -u +%Y-%m-%dT%H:%M:%SZ) binding $ADDRESS ($ALLOCATION) through $ENDPOINT ($PARTITION, $REGION), $DEADLINE s at most"
    choose_client
    while :; do
        attempts=$((attempts + 1))
        if attempt; then
            say "bound $ADDRESS to $instance"
            if [ -d "${DONE%/*}" ]; then : >"$DONE"; fi
            return
        fi
        left=$((started + DEADLINE - $(now)))
        if [ "$left" -le 0 ]; then fail "$reason (gave up after $attempts attempts in $DEADLINE s)"; fi
        pause
    done
}

if [ "${1:-}" = worker ]; then
    worker
    exit
fi
# cloud-init runs boothooks at every boot. Once bound, an address that was taken away since is not taken back.
if [ -e "$DONE" ]; then exit 0; fi
: >>"$LOG"
# Hardened images have a umask of 077, and people who look for the reason of a failure are not root.
chmod 0644 "$LOG"
# cloud-init waits for whoever holds its descriptors, so the worker gets none of them: the boot goes on. It is in a session
# of its own but does not lead it: a leader that opens a console would make it its terminal, and hang it up at its end.
if command -v setsid >/dev/null 2>&1; then
    # shellcheck disable=SC2016  # the inner shell expands it
    setsid sh -c 'sh "$0" worker &' "$0" </dev/null >>"$LOG" 2>&1
else
    nohup sh "$0" worker </dev/null >>"$LOG" 2>&1 &
fi
