#!/usr/bin/env bash
# From a bare machine to a trained GAN: installs p2pgan and runs `p2pgan lab` with the arguments given.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. bootstrap/environment.sh

prepare ""
cd "$here" # paths in the arguments are the caller's
exec p2pgan lab "$@"
