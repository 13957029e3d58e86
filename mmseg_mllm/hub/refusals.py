"""What the hub and the network answer instead of a model, in words that say what to do."""

import contextlib
import errno
from collections.abc import Iterator

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from mmseg_mllm.errors import CheckpointError, ConfigError, MMSegMLLMError


@contextlib.contextmanager
def told(name: str, revision: str | None, *, doing: str) -> Iterator[None]:
    """Turn what the hub's client raises into one line.

    Args:
        name: Of the repository.
        revision: As asked for.
        doing: What broke off where nothing more is known, and what to do then.

    Raises:
        CheckpointError: the hub refuses.
        ConfigError: the disk is full or can't be written to.
    """
    host = constants.ENDPOINT.split("//")[-1]
    try:
        yield
    except MMSegMLLMError:
        raise
    except GatedRepoError:  # before RepositoryNotFoundError, of which it is one
        raise CheckpointError(
            f"{name}: is gated; ask for access at {constants.ENDPOINT}/{name}, then log in with "
            "`hf auth login` (or set HF_TOKEN)"
        ) from None
    except RevisionNotFoundError:
        raise CheckpointError(f"{name}: has no branch, tag or commit {revision!r} on {host}") from None
    except RepositoryNotFoundError:
        raise CheckpointError(
            f"{name}: no such folder here, and no such model on {host}, or a private one: check its "
            "spelling, or log in with `hf auth login` (or set HF_TOKEN)"
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        advice = "log in with `hf auth login`" if status in (401, 403) else doing
        raise CheckpointError(f"{name}: {host} answers {status}; {advice}") from None
    except Exception as error:  # the client's transports raise all sorts
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ConfigError(
                f"{name}: the disk of {constants.HF_HUB_CACHE} is full; free some space and ask again, or "
                "set HF_HOME to a folder on another disk"
            ) from None
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS):
            raise ConfigError(
                f"{name}: {error.filename or constants.HF_HUB_CACHE} can't be written to; set HF_HOME to a "
                "folder that can"
            ) from None
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{name}: {doing} ({reason})") from error
