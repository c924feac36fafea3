#!/usr/bin/env bash
# Installs p2pgan with the test extra and passes every check; arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. bootstrap/environment.sh

prepare "[test]"
set -x
ruff check .
mypy
lint-imports
pytest "$@"
