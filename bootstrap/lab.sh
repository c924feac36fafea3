#!/usr/bin/env bash
# From a bare machine to a trained GAN: installs p2pgan and runs `p2pgan lab` with the arguments given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. bootstrap/environment.sh

prepare ""
exec p2pgan lab "$@"
