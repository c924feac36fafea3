#!/usr/bin/env bash
#SBATCH --job-name=p2pgan
#SBATCH --ntasks=4
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=2G
#SBATCH --time=02:00:00
#SBATCH --signal=TERM@120
#SBATCH --output=p2pgan-%j.log
# Peers on a cluster's machines, one for each task, that join a run; arguments go to p2pgan join:
#   P2PGAN_RENDEZVOUS=postgresql://... sbatch --ntasks=8 --gpus-per-task=1 bootstrap/slurm.sh --dataset zip:faces.zip
# P2PGAN_VENV names the environment on the shared file system that has p2pgan (left out: .venv).
set -euo pipefail

: "${P2PGAN_RENDEZVOUS:?set it to the DSN that p2pgan invite printed}"
program=${P2PGAN_VENV:-$PWD/.venv}/bin/p2pgan
[ -x "$program" ] || {
    echo "p2pgan: there is no $program: install p2pgan on the shared file system, and name its environment in P2PGAN_VENV" >&2
    exit 2
}
# Each task is a peer of its own. Its state lives on the machine it runs on and goes with the job: what is
# committed lies in the database, and a job that starts again is a new peer.
export P2PGAN_THREADS=${P2PGAN_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
# shellcheck disable=SC2016 # the task expands them, not we
exec srun --kill-on-bad-exit=0 bash -c '
    export P2PGAN_STATE="${TMPDIR:-/tmp}/p2pgan-$SLURM_JOB_ID-$SLURM_PROCID"
    exec "$0" join --name "$(hostname -s)-$SLURM_JOB_ID-$SLURM_PROCID" "$@"
' "$program" "$@"
