"""The releases that a peer is made of, and what torch can compute on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from p2pgan.errors import P2pganError
from p2pgan.peer.doctor.finding import Finding

_NVIDIA = Path("/dev/nvidia0")
"""There wherever a driver has found a card, whether torch can use it or not."""


def version_findings() -> list[Finding]:
    """p2pgan, Python and the libraries that are not Python's own."""
    import psycopg
    import zmq

    found = [
        _p2pgan(),
        _release("python", platform.python_version()),
        _release("system", platform.platform()),
        _torch(),
    ]
    libzmq = f"libzmq {zmq.zmq_version()}"
    facts = {"pyzmq": zmq.pyzmq_version(), "libzmq": zmq.zmq_version(), "curve": zmq.has("curve")}
    if zmq.has("curve"):
        found.append(Finding("zeromq", "ok", f"pyzmq {zmq.pyzmq_version()}, {libzmq} with CURVE", facts))
    else:
        found.append(
            Finding("zeromq", "mend", f"{libzmq} has no CURVE: install pyzmq from its wheel, by pip", facts)
        )
    libpq = _dotted(psycopg.pq.version())
    text = f"{psycopg.__version__}, libpq {libpq}"
    return [*found, Finding("psycopg", "ok", text, {"version": psycopg.__version__, "libpq": libpq})]


def programs_findings() -> list[Finding]:
    """The programs of the Postgres that comes with the package; only ``embedded:PATH`` needs them."""
    from p2pgan.rendezvous.account import Account
    from p2pgan.rendezvous.binaries import find_programs

    try:
        programs = find_programs(Account(), None)
    except P2pganError as error:
        return [Finding("embedded", "note", f"no embedded:PATH here, a DSN works: {error}")]
    text = f"Postgres {programs.major} for embedded:PATH"
    return [Finding("embedded", "ok", text, {"major": programs.major})]


def device_findings() -> list[Finding]:
    """What can train; none where torch does not load, which is a finding of its own."""
    try:
        import torch
    except (ImportError, OSError):
        return []
    found = [Finding("cpu", "ok", platform.machine(), {"machine": platform.machine()})]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(index)
        memory = facts.total_memory
        text = f"cuda:{index}, {facts.name}, {memory / 2**30:.0f} GiB"
        found.append(Finding("cuda", "ok", text, {"index": index, "name": facts.name, "bytes": memory}))
    if not torch.cuda.is_available() and _NVIDIA.exists():
        text = "there is an NVIDIA card that this torch cannot use: install a torch for its driver's CUDA"
        found.append(Finding("cuda", "note", text))
    if torch.backends.mps.is_available():
        found.append(Finding("mps", "ok", "Apple's GPU"))
    return found


def _p2pgan() -> Finding:
    try:
        return _release("p2pgan", version("p2pgan"))
    except PackageNotFoundError:
        return Finding("p2pgan", "note", "not installed, but run from its source: its release is not known")


def _torch() -> Finding:
    try:
        import torch
    except (ImportError, OSError) as error:
        return Finding("torch", "mend", f"torch does not load ({error}): install it again, with torchvision")
    cuda = torch.version.cuda
    text = f"{torch.__version__}, built {f'for CUDA {cuda}' if cuda else 'without CUDA'}"
    return Finding("torch", "ok", text, {"version": str(torch.__version__), "cuda": cuda})


def _release(check: str, release: str) -> Finding:
    return Finding(check, "ok", release, {"version": release})


def _dotted(number: int) -> str:
    """libpq's way of writing a release in one number, as 17.2."""
    return f"{number // 10_000}.{number % 10_000}"
