#!/usr/bin/env bash
# Puts the Autobahn testsuite where it can be run, and runs it.
#
#   autobahn.sh install             prepares everything (once; later calls find it there)
#   autobahn.sh run SPEC            runs wstest's fuzzing client with this specification
#
# The suite is a Python 2.7 program. The interpreter is the first of: $AUTOBAHN_PYTHON, one that an earlier call has
# unpacked, pyenv's, python2.7 on PATH. Without any, Debian bullseye's packages are unpacked (not installed) from the
# archive that this machine's apt uses already. Everything lands in $AUTOBAHN_HOME, by default .cache/autobahn of the
# project, which git ignores; nothing is installed system-wide.
#
# Exit status: 2 when the suite cannot be had or run; what the cases came to is for run.py to say.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${AUTOBAHN_HOME:-$here/../../.cache/autobahn}
mkdir -p "$home" && home=$(cd "$home" && pwd)
unpacked=$home/debian/root
site=$home/site
architecture=$(uname -m)-linux-gnu

export LD_LIBRARY_PATH=$unpacked/usr/lib/$architecture${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore

fail() { echo "autobahn.sh: $*" >&2; exit 2; }

python2() {
    local candidate
    for candidate in "${AUTOBAHN_PYTHON:-}" "$unpacked/usr/bin/python2.7" \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python2.7 "$(command -v python2.7 || true)"; do
        [ -x "$candidate" ] || continue
        # A shim without a version behind it, or one built without TLS, is of no use.
        if "$candidate" -c 'import sys, ssl, zlib; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

unpack_python2() {
    command -v apt-get >/dev/null || fail "no Python 2.7 found, and no apt to get one: set AUTOBAHN_PYTHON"
    local debian=$home/debian archive
    mkdir -p "$debian"/{lists/partial,cache/archives/partial,packages,root}
    archive=$(grep -rhvE '^ *#' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
        grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1) || true
    [ -n "$archive" ] || fail "no Debian archive in apt's sources: set AUTOBAHN_PYTHON"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive bullseye main" >"$debian/sources.list"
    local options=(-qq -o Dir::Etc::sourcelist="$debian/sources.list" -o Dir::Etc::sourceparts=-
        -o Dir::State::lists="$debian/lists" -o Dir::Cache="$debian/cache" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update
    (cd "$debian/packages" && apt-get "${options[@]}" download python2.7 python2.7-minimal libpython2.7-minimal \
        libpython2.7-stdlib libpython2.7-dev libssl1.1 libffi7)
    local package
    for package in "$debian"/packages/*.deb; do dpkg-deb -x "$package" "$unpacked"; done
}

install() {
    cmp -s "$here/python2.pins" "$home/installed.pins" && return
    local python
    python=$(python2) || { unpack_python2 >&2 && python=$(python2); } || fail "no Python 2.7: set AUTOBAHN_PYTHON"
    rm -rf "$site" "$home/pip" "$home/wheels"
    # pip's last version for 2.7, unpacked so that it can run without being installed.
    python3 -m pip -q download --no-deps --disable-pip-version-check -d "$home/wheels" \
        pip==20.3.4 setuptools==44.1.1 wheel==0.37.1 >&2 || fail "cannot download pip for Python 2.7"
    local wheel
    for wheel in "$home"/wheels/*.whl; do python3 -m zipfile -e "$wheel" "$home/pip"; done
    pip2 "$python" -r "$here/python2.pins" || fail "cannot install the suite"
    # Masking and UTF-8 in C: faster, the same results; without a compiler it does without.
    pip2 "$python" --upgrade wsaccel==0.6.6 || echo "autobahn.sh: wsaccel cannot be built, going on without" >&2
    cp "$here/python2.pins" "$home/installed.pins"
}

pip2() {
    local python=$1; shift
    local include=$unpacked/usr/include
    # The certificates in this pip are from 2020: the system's are used where there are some.
    local certificates=/etc/ssl/certs/ca-certificates.crt
    [ ! -f "$certificates" ] || export PIP_CERT=${PIP_CERT:-$certificates}
    # Settings that were made for a newer pip (a config file, folders of wheels) may be wrong for this one.
    env -u PIP_FIND_LINKS PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONPATH="$home/pip" \
        CPATH="$include/python2.7:$include${CPATH:+:$CPATH}" \
        "$python" -W ignore -m pip install -q --no-cache-dir --no-deps --target "$site" "$@" >&2
}

run() {
    local spec=$1 python
    python=$(python2) || fail "no Python 2.7: set AUTOBAHN_PYTHON"
    PYTHONPATH=$site exec "$python" -W ignore -c "
import site; site.addsitedir('$site')
from autobahntestsuite.wstest import run; run()" -m fuzzingclient -s "$spec"
}

case ${1:-} in
    install) install ;;
    run) install; run "${2:?autobahn.sh run SPEC}" ;;
    *) fail "autobahn.sh install | run SPEC" ;;
esac
