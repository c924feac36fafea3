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
set -x
ruff check .
ruff format --check .
mypy
lint-imports
pytest "$@"
