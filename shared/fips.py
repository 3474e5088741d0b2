"""FIPS mode, in which MD5 is neither taken nor computed nor shown: whether the machine is in it.

Source: contract, PyPI 6.1 and 6.2 (what GitLab does in it).
"""

try:
    # Python has no public name for what its own hashlib asks here.
    import _hashlib as openssl
except ImportError:  # This Python has no OpenSSL.
    openssl = None  # type: ignore[assignment]


def is_openssl_in_fips_mode() -> bool:
    """Say whether the OpenSSL behind hashlib approves of FIPS algorithms only; one that cannot tell is not."""
    get_fips_mode = getattr(openssl, "get_fips_mode", None)
    return get_fips_mode is not None and bool(get_fips_mode())
