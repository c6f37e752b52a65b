#!/usr/bin/env bash
# Build both images and look at what they do, on a Debian without Docker and without a registry. As root:
#
#     apt-get install -y buildah debootstrap iproute2
#     deploy/image-without-docker.sh
#
# The base is Debian 13 with its Python 3.13, in place of python:3.13-slim. The Dockerfile's own steps run in a chroot.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
base=docker.io/library/python:3.13-slim

started=
running=
stop() { # what runs in the image
    [ -n "$started" ] || return 0
    local child
    running=$started
    while child=$(pgrep -P "$running"); do running=$child; done
    kill "$running"
}
trap 'stop || true' EXIT

fail() {
    echo "$*" >&2
    exit 1
}

if [ "${1:-}" != check ]; then
    if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
        root=$(mktemp -d)
        debootstrap --variant=minbase --include=python3,python3-venv,python-is-python3,ca-certificates trixie "$root/root"
        # What lets pip reach an index here.
        cp /etc/ssl/certs/ca-certificates.crt "$root/root/etc/ssl/certs/"
        printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$root/root/etc/pip.conf"
        made=$(buildah from scratch)
        buildah copy -q "$made" "$root/root" /
        buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$made"
        buildah commit -q "$made" "$base"
        buildah rm "$made" >/dev/null
        rm -rf "$root"
    fi
    buildah bud -q --pull-never --format docker -t realtape .
    buildah bud -q --pull-never --format docker -t clinic --target clinic .
    exec unshare --net --mount "$0" check # a network of its own, with an address that is not loopback
fi

ip link set lo up
ip address add 198.51.100.7/32 dev lo

ask() { # status of a GET
    python3 - "$@" <<'PYTHON'
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": f"Bearer {sys.argv[2]}"} if sys.argv[2:] else {})
try:
    print(urllib.request.urlopen(request, timeout=5).status)
except urllib.error.HTTPError as refusal:
    print(refusal.code)
PYTHON
}

setting() { # of an image
    buildah inspect --type image "$1" | python3 -c \
        "import json, sys; found = json.load(sys.stdin)['Docker']['config']['$2']; print(json.dumps(found))"
}

look() { # image, a variable of its environment
    local made healthy=no status
    local -a entry check
    mapfile -t entry < <(setting "$1" Entrypoint | python3 -c "import json, sys; print(*json.load(sys.stdin), sep='\n')")
    mapfile -t -O "${#entry[@]}" entry < <(setting "$1" Cmd | python3 -c "import json, sys; print(*json.load(sys.stdin), sep='\n')")
    mapfile -t check < <(setting "$1" Healthcheck | python3 -c "import json, sys; print(*json.load(sys.stdin)['Test'][1:], sep='\n')")
    made=$(buildah from --pull-never "localhost/$1")
    echo "$1: ${entry[*]}"
    [ "$(buildah run "$made" -- id -u)" = 10001 ] || fail "$1 does not run as user 10001"
    ! buildah run "$made" -- touch /opt/realtape/bin/new 2>/dev/null || fail "$1 can change its programs"
    buildah run ${2:+--env "$2"} "$made" -- "${entry[@]}" &
    started=$!
    for _ in $(seq 60); do
        if buildah run "$made" -- "${check[@]}" 2>/dev/null; then
            healthy=yes
            break
        fi
        sleep 0.5
    done
    [ "$healthy" = yes ] || fail "$1 does not become healthy"
    if [ "$1" = realtape ]; then
        status=$(ask http://198.51.100.7:8765/_mock/sessions ${2:+another})
        [ "$status" = 403 ] || fail "the control plane answers with $status"
        [ -z "$2" ] || [ "$(ask http://198.51.100.7:8765/_mock/sessions "${2#*=}")" = 200 ] || fail "the token is refused"
    fi
    stop
    wait "$started" || fail "$1 does not end with exit code 0 at SIGTERM"
    started=
    ! buildah run "$made" -- "${check[@]}" 2>/dev/null || fail "$1 is healthy although it ended"
    buildah rm "$made" >/dev/null
}

look realtape ""
look realtape REALTAPE_ADMIN_TOKEN=only-for-this-test
look clinic XAI_API_KEY=any
echo "both images are as they should be"
