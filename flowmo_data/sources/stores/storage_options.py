"""The options of fsspec's file systems: the user's, after defaults that make them fast and keep them from hanging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowmo_data.errors import OptionError
from flowmo_data.runtime.extras import import_extra
from flowmo_data.sources.paths import UrlParts

FETCH_THREADS = 64
"""threads of a worker that fetch ahead: at 50 ms an answer, some 600 answers a second"""
_CONNECT_SECONDS, _ANSWER_SECONDS = 10, 30
"""a web server that is silent for so long does not answer any more; s3fs has such limits of its own"""


def check_storage_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `storage_options` as a dictionary.

    Raises:
        OptionError: they are something else.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise OptionError(
            f"storage_options={options!r}: give a dictionary of options for fsspec, for example {{'anon': True}}"
        )
    return dict(options)


def options_of(parts: UrlParts, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for a URL, in the form that `fsspec.core.url_to_fs` takes.

    Args:
        parts: the URL.
        given: options for this URL's protocol, or for several protocols by their names. Those of protocols that the URL
            does not have are left out.
    """
    protocols = parts.protocols
    others = {key for key, value in given.items() if isinstance(value, Mapping) and _is_protocol(key)} - {*protocols}
    options = {key: value for key, value in given.items() if key not in others}
    if len(protocols) == 1:
        own = options.pop(protocols[0], {})
        return {**defaults(protocols[0]), **options, **own}
    return options | {each: {**defaults(each), **options.get(each, {})} for each in protocols}


def defaults(protocol: str) -> dict[str, Any]:
    """Return the options of a protocol that apply if the user gives no others."""
    if protocol in ("s3", "s3a"):
        return {"config_kwargs": {"max_pool_connections": 2 * FETCH_THREADS}}
    if protocol in ("http", "https"):
        timeout = import_extra("aiohttp", user=f"{protocol}://").ClientTimeout
        limits = timeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_ANSWER_SECONDS)
        return {"client_kwargs": {"timeout": limits}}
    return {}


def _is_protocol(name: str) -> bool:
    return name in import_extra("fsspec", user="a URL").available_protocols()
