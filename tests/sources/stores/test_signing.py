"""Signed URLs, held against those of botocore's client."""

import pytest

from flowmo_data.sources.stores.signing import Signer

s3fs = pytest.importorskip("s3fs", reason="the extra remote is not installed")
KEYS = [
    "a.mp3", "deep/er/a b.mp3", "é ü/日本.mp3", "a+b=c&d?e#f%g.mp3", "a//b/./c.mp3", "~-_.!*'().mp3", "a:b@c;d,e$.mp3",
]  # fmt: skip
VERSION_4 = {"config_kwargs": {"signature_version": "s3v4"}}
OWN = {"key": "name", "secret": "secret/+=", "client_kwargs": {"endpoint_url": "http://127.0.0.1:9000"}, **VERSION_4}
SYSTEMS = {
    "path": OWN,
    "host": {"key": "name", "secret": "secret", "client_kwargs": {"region_name": "eu-central-1"}},
    "token": {"key": "a", "secret": "b", "token": "to/k+en=", "client_kwargs": {"region_name": "eu-west-3"}},
    "anonymous": {"anon": True, "client_kwargs": {"region_name": "eu-central-1"}},
}


def fields(url):
    """A URL without its query, and the fields of that in any order."""
    place, _, query = url.partition("?")
    return place, sorted(query.split("&"))


@pytest.mark.parametrize("options", SYSTEMS.values(), ids=SYSTEMS)
def test_urls_are_those_of_botocores_client(options):
    system = s3fs.S3FileSystem(**options, skip_instance_cache=True)
    signer = Signer(system)
    for _ in range(5):  # another second gives another signature
        found = [fields(signer.sign(f"bucket/{key}")) for key in KEYS]
        expected = [fields(system.sign(f"bucket/{key}", expiration=3_600)) for key in KEYS]
        if found == expected:
            break
    assert found == expected


def test_the_keys_of_the_environment_sign(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "name")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    signer = Signer(s3fs.S3FileSystem(client_kwargs={"region_name": "eu-central-1"}, skip_instance_cache=True))
    url = signer.sign("bucket/a.mp3")
    assert url.startswith(
        "https://bucket.s3.amazonaws.com/a.mp3?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=name"
    )


def test_the_keys_are_looked_for_again_after_a_refusal(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    system = s3fs.S3FileSystem(client_kwargs={"region_name": "eu-central-1"}, skip_instance_cache=True)
    signer = Signer(system)
    first = signer._buckets
    signer.sign("bucket/a.mp3")
    assert set(first) == {"bucket"}
    assert signer.forget("bucket/a.mp3")
    assert not first
    assert not signer.forget("bucket/b.mp3")  # refused at the same time, to another thread
