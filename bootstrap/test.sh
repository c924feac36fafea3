#!/usr/bin/env bash
# Installs p2pgan with the test extra and passes every check; arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. bootstrap/environment.sh

prepare "[test]"
# The promises are also tested on Debian's Postgres. It is installed on a throw-away CI machine only;
# elsewhere those tests run if it is there, and say why not otherwise.
if [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null &&
    ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; } ||
        echo "Debian's Postgres could not be installed: its tests will be skipped"
fi
# The dashboard is also tested in a real browser: Debian's chromium, driven by playwright. Where one of them
# cannot be had, those tests are skipped and say why.
python -c 'import playwright.sync_api' 2>/dev/null ||
    python -m pip install --disable-pip-version-check --quiet "playwright>=1.45" ||
    echo "playwright could not be installed: the tests in a browser will be skipped"
if [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null &&
    ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        chromium fonts-dejavu-core >/dev/null; } ||
        echo "chromium could not be installed: the tests in a browser will be skipped"
fi
set -x
ruff check .
ruff format --check .
mypy
lint-imports
# Two processes: most tests wait for processes of their own.
pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"
