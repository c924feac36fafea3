# shellcheck shell=bash
# Sourced by the scripts beside it: from a machine with Python, git and bash to a virtual environment.
#
#   prepare EXTRAS   makes the environment, installs this checkout with EXTRAS ("" or "[test]") and
#                    puts its programs first on PATH
#
# P2PGAN_VENV names another folder than .venv, PYTHON another interpreter than python3.

die() {
    printf 'p2pgan: %s\n' "$1" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed and was not found; install it, or name it: PYTHON=/path/to/python3.11 bash $0"
}

prepare() {
    local extras=$1 venv=${P2PGAN_VENV:-.venv} python stamp log
    python=$(find_python)
    if [ ! -x "$venv/bin/pip" ]; then
        echo "Making a virtual environment in $venv"
        "$python" -m venv "$venv" ||
            die "no virtual environment could be made in $venv; on Debian or Ubuntu: apt install python3-venv"
    fi
    # Installing again costs seconds and the network even when nothing is missing: the stamp says for
    # which project file and extras this environment was made.
    stamp="$extras $(cksum <pyproject.toml)"
    if [ "$(cat "$venv/p2pgan-installed" 2>/dev/null)" != "$stamp" ]; then
        log="$venv/install.log"
        echo "Installing p2pgan$extras and what it needs (the first time minutes and up to 6 GB; log in $log)"
        "$venv/bin/python" -m pip install --disable-pip-version-check --editable ".$extras" >"$log" 2>&1 || {
            tail -n 5 "$log" >&2
            die "the installation failed; the whole log is in $log"
        }
        printf '%s' "$stamp" >"$venv/p2pgan-installed"
    fi
    PATH="$(cd "$venv/bin" && pwd):$PATH"
    export PATH
}
