"""Signed URLs, held against those of botocore."""

import pytest

from flowmo_data.sources.signing import _PROBE, Signer, pattern_of

s3fs = pytest.importorskip("s3fs", reason="the extra remote is not installed")
KEYS = [
    "a.mp3", "deep/er/a b.mp3", "é ü/日本.mp3", "a+b=c&d?e#f%g.mp3", "a//b/./c.mp3", "~-_.!*'().mp3", "a:b@c;d,e$.mp3",
]  # fmt: skip
OWN = {"key": "name", "secret": "secret/+=", "client_kwargs": {"endpoint_url": "http://127.0.0.1:9000"}}
SYSTEMS = {
    "version 2, path": OWN,
    "version 4, path": {**OWN, "config_kwargs": {"signature_version": "s3v4"}},
    "version 4, host": {"key": "name", "secret": "secret", "client_kwargs": {"region_name": "eu-central-1"}},
    "version 4, token": {"key": "a", "secret": "b", "token": "to/k+en=", "client_kwargs": {"region_name": "eu-west-3"}},
    "anonymous": {"anon": True, "client_kwargs": {"region_name": "eu-central-1"}},
}


@pytest.mark.parametrize("options", SYSTEMS.values(), ids=SYSTEMS)
def test_urls_are_those_of_botocore(options, monkeypatch):
    system = s3fs.S3FileSystem(**options, skip_instance_cache=True)
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)  # botocore's version 2 signs for a second
    for _ in range(5):  # and version 4 does so by another clock
        signer = Signer(system)
        found = [signer.sign(f"bucket/{key}") for key in KEYS]
        expected = [system.sign(f"bucket/{key}", expiration=3_600) for key in KEYS]
        if found == expected:
            break
    assert found == expected
    assert signer._pattern("bucket") is not None
    assert not signer._kept


def test_the_keys_of_the_environment_sign(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "name")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    signer = Signer(s3fs.S3FileSystem(client_kwargs={"region_name": "eu-central-1"}, skip_instance_cache=True))
    assert signer.sign("bucket/a.mp3").startswith("https://bucket.s3.amazonaws.com/a.mp3?X-Amz-Algorithm=")
    assert not signer._kept


def test_what_cannot_be_followed_is_left_to_botocore():
    system = s3fs.S3FileSystem(**OWN, skip_instance_cache=True)
    url = system.sign(f"bucket/{_PROBE}", expiration=3_600)
    assert pattern_of(url, "bucket", OWN["secret"]) is not None
    for other in (url.replace("Signature=", "Signature=x"), url.replace("Expires", "Other"), "http://127.0.0.1/a?b=c"):
        assert pattern_of(other, "bucket", OWN["secret"]) is None
    assert pattern_of(url, "bucket", "another") is None
    signer = Signer(system)
    signer._secret = lambda: "another"
    signed = signer.sign("bucket/a.mp3")
    assert signed.startswith("http://127.0.0.1:9000/bucket/a.mp3?AWSAccessKeyId=name&Signature=")
    assert signer.sign("bucket/a.mp3") is signed  # kept
    signer.forget("bucket/a.mp3")
    assert not signer._kept
