"""URLs of objects in S3, signed as botocore signs them, at a tenth of its processor time.

botocore signs one URL for each bucket, every half an hour. Its parts make the URLs of all other objects, if the
signature that is computed here equals botocore's. Otherwise botocore signs every URL. Methods: Signature Version 4
(AWS, "Authenticating Requests: Using Query Parameters") and, for stores with their own endpoint, Version 2 ("Signing
and Authenticating REST Requests").
"""

from __future__ import annotations

import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from flowmo_data.runtime.extras import import_extra

_SIGNED_SECONDS = 3_600
"""time for which a URL is signed; it is used for half of that"""
_MOST_KEPT = 10_000
"""URLs of botocore to keep, some 1 kB each"""
_PROBE = "a b/é+~=&?.mp3"
"""a key with characters that methods could encode differently"""


class Pattern(NamedTuple):
    """The parts of all signed URLs of a bucket."""

    prefix: str
    """all before the key"""
    query: str
    """all behind the key, with `{}` for the signature; empty if URLs are not signed"""
    signature: Callable[[str], str]
    """returns the signature of an encoded key"""

    def url(self, key: str) -> str:
        """Return the signed URL of an object."""
        encoded = quote(key, safe="/~")
        return self.prefix + encoded + (self.query.replace("{}", self.signature(encoded)) if self.query else "")


class Signer:
    """Signs URLs for reading objects.

    Args:
        system: an s3fs file system.
    """

    def __init__(self, system: Any) -> None:
        self._system = system
        self._patterns: dict[str, tuple[float, Pattern | None]] = {}
        self._kept: dict[str, tuple[float, str]] = {}

    def sign(self, path: str) -> str:
        """Return the signed URL of an object."""
        bucket, key, version = self._system.split_path(path)
        pattern = None if version else self._pattern(bucket)
        return self._by_botocore(path) if pattern is None else pattern.url(key)

    def forget(self, path: str) -> None:
        """Sign anew: a URL was refused, perhaps because its keys have expired."""
        self._patterns.pop(self._system.split_path(path)[0], None)
        self._kept.pop(path, None)

    def _pattern(self, bucket: str) -> Pattern | None:
        until, pattern = self._patterns.get(bucket, (0.0, None))
        now = time.monotonic()
        if now >= until:
            url = str(self._system.sign(f"{bucket}/{_PROBE}", expiration=_SIGNED_SECONDS))
            pattern = pattern_of(url, bucket, self._secret())
            self._patterns[bucket] = now + _SIGNED_SECONDS / 2, pattern
        return pattern

    def _secret(self) -> str:
        if self._system.secret:
            return str(self._system.secret)
        sync = import_extra("fsspec.asyn", user="s3://").sync
        credentials = sync(self._system.loop, self._system.session.get_credentials)
        if credentials is None:
            return ""
        return str(sync(self._system.loop, credentials.get_frozen_credentials).secret_key)

    def _by_botocore(self, path: str) -> str:
        now = time.monotonic()
        until, url = self._kept.get(path, (0.0, ""))
        if now < until:
            return url
        url = str(self._system.sign(path, expiration=_SIGNED_SECONDS))
        if len(self._kept) >= _MOST_KEPT:
            with suppress(RuntimeError):  # another thread does the same
                self._kept = dict(islice(self._kept.items(), _MOST_KEPT // 2, None))
        self._kept[path] = now + _SIGNED_SECONDS / 2, url
        return url


def pattern_of(url: str, bucket: str, secret: str) -> Pattern | None:
    """Return the pattern of a URL that botocore has signed for the key `_PROBE`; None if it cannot be followed."""
    parts, encoded = urlsplit(url), quote(_PROBE, safe="/~")
    if not parts.path.endswith("/" + encoded):
        return None
    prefix = parts.path.removesuffix(encoded)
    fields = [each for each in parts.query.split("&") if each]
    given = {name: unquote(value) for name, _, value in (each.partition("=") for each in fields)}
    unsigned = [each for each in fields if not each.startswith(("Signature=", "X-Amz-Signature="))]
    if not fields:
        return Pattern(f"{parts.scheme}://{parts.netloc}{prefix}", "", lambda _: "")
    try:
        if given.get("X-Amz-SignedHeaders") == "host":
            name, signature = "X-Amz-Signature", _version_4(prefix, parts.netloc, sorted(unsigned), given, secret)
        else:
            name, signature = "Signature", _version_2(bucket, given["Expires"], secret)
    except (KeyError, ValueError):
        return None
    query = "&".join(each if each in unsigned else f"{name}={{}}" for each in fields)
    found = Pattern(f"{parts.scheme}://{parts.netloc}{prefix}", f"?{query}", signature)
    return found if unquote(signature(encoded)) == given[name] else None


def _version_4(prefix: str, host: str, fields: list[str], given: dict[str, str], secret: str) -> Callable[[str], str]:
    date, scope = given["X-Amz-Date"], given["X-Amz-Credential"].partition("/")[2]
    key = f"AWS4{secret}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    before, after = f"GET\n{prefix}", f"\n{'&'.join(fields)}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"

    def signature(encoded: str) -> str:
        request = hashlib.sha256((before + encoded + after).encode()).hexdigest()
        return hmac.digest(key, f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{request}".encode(), "sha256").hex()

    return signature


def _version_2(bucket: str, expires: str, secret: str) -> Callable[[str], str]:
    def signature(encoded: str) -> str:
        text = f"GET\n\n\n{expires}\n/{bucket}/{encoded}".encode()
        return quote(b64encode(hmac.digest(secret.encode(), text, "sha1")).decode(), safe="")

    return signature
