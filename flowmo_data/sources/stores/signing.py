"""URLs of objects in S3, signed by botocore's signer itself.

s3fs and botocore's client take 0.3 ms for a URL, most of it to find out where the bucket is. Here they do so for one
URL of each bucket, every half an hour; signing takes 0.065 ms. The method is Signature Version 4 in the query of a URL
(AWS, "Authenticating Requests: Using Query Parameters").
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple
from urllib.parse import quote

from flowmo_data.runtime.extras import import_extra

_SIGNED_SECONDS = 3_600
"""time for which a URL is signed; where the bucket is, and the keys, are used for half of that"""
_PROBE = "probe"


class Signer:
    """Signs URLs for reading objects.

    Args:
        system: an s3fs file system.
    """

    def __init__(self, system: Any) -> None:
        self._system = system
        self._buckets: dict[str, tuple[float, Bucket]] = {}

    def sign(self, path: str) -> str:
        """Return the signed URL of an object."""
        bucket, key, version = self._system.split_path(path)
        if version:
            return str(self._system.sign(path, expiration=_SIGNED_SECONDS))
        until, found = self._buckets.get(bucket, (0.0, None))
        now = time.monotonic()
        if found is None or now >= until:
            found = self._find(bucket)
            self._buckets[bucket] = now + _SIGNED_SECONDS / 2, found
        return found.url(key)

    def forget(self, path: str) -> bool:
        """Look for the bucket and the keys anew: a URL was refused. Return whether no other thread has just said so."""
        bucket, _, version = self._system.split_path(path)
        return self._buckets.pop(bucket, None) is not None or bool(version)

    def _find(self, bucket: str) -> Bucket:
        place, _, query = str(self._system.sign(f"{bucket}/{_PROBE}", expiration=_SIGNED_SECONDS)).partition("?")
        prefix = place.removesuffix(_PROBE)
        if not query:
            return Bucket(prefix, None)
        sync = import_extra("fsspec.asyn", user="s3://").sync
        client = sync(self._system.loop, self._system.get_s3, bucket)
        auth = import_extra("botocore.auth", user="s3://")
        return Bucket(
            prefix,
            auth.S3SigV4QueryAuth(self._keys(sync), "s3", client.meta.region_name or "us-east-1", _SIGNED_SECONDS),
        )

    def _keys(self, sync: Any) -> Any:
        """Return the keys that the user has given, or those of the environment as they are now."""
        system, keys = self._system, (self._system.key, self._system.secret, self._system.token)
        if not system.secret:
            found = sync(system.loop, system.session.get_credentials)
            keys = tuple(sync(system.loop, found.get_frozen_credentials))[:3]
        return import_extra("botocore.credentials", user="s3://").Credentials(*keys)


class Bucket(NamedTuple):
    """Where the objects of a bucket are, and who signs."""

    prefix: str
    """the URL before the key"""
    auth: Any
    """a signer of botocore; None if access is anonymous"""

    def url(self, key: str) -> str:
        """Return the signed URL of an object."""
        url = self.prefix + quote(key, safe="/~")
        if self.auth is None:
            return url
        request = import_extra("botocore.awsrequest", user="s3://").AWSRequest("GET", url)
        self.auth.add_auth(request)
        return str(request.url)
