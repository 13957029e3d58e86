"""Images of Label Studio's tasks."""

import base64
import json
import time
from urllib.parse import urlsplit

from mmseg_mllm.apis.sources import URL_STARTS, download
from mmseg_mllm.errors import ConfigError, DataError

URL_VARIABLE, TOKEN_VARIABLE = "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"
"""Environment variables that Label Studio's own backends know."""
CLOUD_STARTS = ("s3://", "gs://", "azure-blob://")
ACCESS_SECONDS = 60.0
"""How long the answer to a personal token is used; Label Studio takes it for five minutes."""


class TaskImages:
    """Fetches images from the web and, with a token, from Label Studio; never from this machine's disk.

    The token goes to Label Studio's address alone, and not where that leads on to.

    Args:
        url: Address of Label Studio, such as http://localhost:8080; '' for none.
        token: Legacy or personal access token; '' for none.

    Raises:
        ConfigError: the address is none.
    """

    def __init__(self, *, url: str, token: str) -> None:
        if url and not url.lower().startswith(URL_STARTS):
            raise ConfigError(f"{URL_VARIABLE}={url}: give an address such as http://localhost:8080")
        self._url, self._token = url.rstrip("/"), token
        self._access, self._until = "", 0.0

    def fetch(self, source: object, *, task: object) -> bytes:
        """Content of an image's file.

        Args:
            source: What the task holds: a URL, a path on Label Studio, or a place in cloud storage that
                Label Studio reads.
            task: The task's id, for cloud storage.

        Raises:
            DataError: it can't be had.
            ConfigError: Label Studio's address is not known.
        """
        if not isinstance(source, str) or not source:
            raise DataError(f"the task holds no address of an image, but {source!r:.200}")
        if source.lower().startswith(URL_STARTS):
            own = self._url and urlsplit(source)[:2] == urlsplit(self._url)[:2]
            return download(source, headers=self._headers() if own else {})
        in_cloud = source.lower().startswith(CLOUD_STARTS)
        if not in_cloud and not source.startswith("/"):
            raise DataError(f"{source:.200}: no address of an image that is fetched here")
        if not self._url:
            raise ConfigError(
                f"{source:.200} is in Label Studio; say where that is with the environment "
                f"variables {URL_VARIABLE} and {TOKEN_VARIABLE}"
            )
        if in_cloud:
            place = base64.urlsafe_b64encode(source.encode(errors="surrogatepass")).decode()
            source = f"/tasks/{task}/resolve/?fileuri={place}"
        return download(f"{self._url}{source}", headers=self._headers())

    def _headers(self) -> dict[str, str]:
        if not self._token:
            return {}
        if not self._token.startswith("eyJ"):  # not JSON in base64, as personal tokens are
            return {"Authorization": f"Token {self._token}"}
        if time.monotonic() > self._until:
            self._access, self._until = self._fresh(), time.monotonic() + ACCESS_SECONDS
        return {"Authorization": f"Bearer {self._access}"}

    def _fresh(self) -> str:
        address = f"{self._url}/api/token/refresh/"
        body = json.dumps(dict(refresh=self._token)).encode()
        answer = download(address, headers={"Content-Type": "application/json"}, body=body)
        try:
            return str(json.loads(answer)["access"])
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{address}: Label Studio's answer is none to a personal token") from None
