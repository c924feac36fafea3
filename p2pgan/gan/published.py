"""Generators on the Hugging Face hub, by huggingface_hub: to be had, and to be given away.

What comes from there is foreign: one file is taken, of bounded size, and read like any weights file.
A token is the library's own business: it takes it from the environment or from where its login keeps it,
and no line that is printed here has one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from p2pgan.errors import ConfigError, P2pganError, WeightsError
from p2pgan.gan.weights import MAX_FILE_BYTES
from p2pgan.protocol.texts import shortened

PREFIX = "hf:"
WEIGHTS = "generator.safetensors"
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REPO = re.compile(rf"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,255}")
MISSING = "huggingface_hub is not installed; pip install 'p2pgan[hub]'"


def is_published(source: str) -> bool:
    """Whether a source of weights is named as a repository of the hub."""
    return source.startswith(PREFIX)


def check_repo(repo: str) -> str:
    """``repo`` if it is USER/NAME. Raises ConfigError if not."""
    if not _REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise ConfigError(f"{shortened(repo)!r} is no repository of the hub; write USER/NAME")
    return repo


def local_file(source: str) -> Path:
    """The weights that ``hf:USER/NAME`` or ``hf:USER/NAME@REVISION`` names, downloaded unless they are here.

    Raises ConfigError for another form or without huggingface_hub; WeightsError if there is no such file;
    P2pganError if the hub cannot be reached or refuses.
    """
    repo, at, revision = source.removeprefix(PREFIX).partition("@")
    check_repo(repo)
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise ConfigError(f"{shortened(revision)!r} is no revision; write hf:USER/NAME@REVISION")
    with _translated(repo):
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        url = hf_hub_url(repo, WEIGHTS, revision=revision or None)
        size = get_hf_file_metadata(url).size
        if size is None or size > MAX_FILE_BYTES:
            raise WeightsError(f"{WEIGHTS} of {repo} is larger than any generator; it is refused")
        return Path(hf_hub_download(repo, WEIGHTS, revision=revision or None))


def upload(repo: str, files: Mapping[str, bytes], private: bool, message: str) -> str:
    """Makes the repository if need be and puts the files there in one commit; the address of its page.

    Raises ConfigError without huggingface_hub, P2pganError if the hub cannot be reached or refuses.
    """
    check_repo(repo)
    with _translated(repo):
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi(library_name="p2pgan")
        address = api.create_repo(repo, private=private, exist_ok=True)
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(repo, operations, commit_message=message)
        return str(address)


@contextmanager
def _translated(repo: str) -> Iterator[None]:
    """Turns the library's exceptions into ours. Their texts are not repeated: they may quote a request."""
    try:
        import huggingface_hub.errors as hub
    except ImportError as error:
        raise ConfigError(MISSING) from error
    if sys.stderr is None or not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]  # re-exported

        disable_progress_bars()
    try:
        yield
    except hub.LocalTokenNotFoundError as error:
        raise ConfigError("no token for the hub; run 'hf auth login', or set HF_TOKEN") from error
    except (hub.EntryNotFoundError, hub.RevisionNotFoundError) as error:
        if isinstance(error, hub.LocalEntryNotFoundError):
            raise P2pganError(f"the hub cannot be reached for {repo}; check the network") from error
        raise WeightsError(f"{repo} has no {WEIGHTS} there; check its name and revision") from error
    except hub.RepositoryNotFoundError as error:
        raise WeightsError(f"the hub has no {repo} that you may read; check its name, or log in") from error
    except hub.HfHubHTTPError as error:
        status = error.response.status_code
        hint = "check the rights of your token" if status in (401, 403) else "try again later"
        raise P2pganError(f"the hub refused {repo} (HTTP {status}); {hint}") from error
    except (
        hub.HTTPError,  # type: ignore[attr-defined]  # the base of its HTTP client's, re-exported
        hub.FileMetadataError,
        RuntimeError,  # what it makes of a large file whose upload failed
        OSError,
    ) as error:
        what = type(error).__name__
        raise P2pganError(f"{repo} and the hub: {what}; check the network and HF_ENDPOINT") from error
