"""Any split into chunks gives the same blob, and any range gives the same bytes as a slice."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.ports.blob_store import BlobStore
from tests.contracts.blobs.backends import Premises
from tests.contracts.blobs.drive import MIB, content_of, new_key, put, receipt_of, some_bytes

# The store and its premises serve all examples of a test: each example has a key of its own.
_settings = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_CONTENT = some_bytes(2 * MIB + 3)
_lengths = st.one_of(st.integers(0, 2000), st.sampled_from([MIB - 1, MIB, MIB + 1]))
_offsets = st.one_of(
    st.integers(0, len(_CONTENT) + 10), st.sampled_from([0, MIB - 1, MIB, MIB + 1, len(_CONTENT) - 1, len(_CONTENT)])
)


@_settings
@given(lengths=st.lists(_lengths, max_size=8))
async def test_any_split_into_chunks_gives_the_same_blob(
    store: BlobStore, premises: Premises, lengths: list[int]
) -> None:
    key, content = new_key(), some_bytes(sum(lengths))
    premises.expected.add(key)

    async with store.create(key) as writer:
        start = 0
        for length in lengths:
            await writer.write(content[start : start + length])
            start += length
        receipt = await writer.commit()

    assert receipt == receipt_of(content)
    assert await content_of(store, key) == content


@_settings
@given(ranges=st.lists(st.tuples(_offsets, st.none() | _offsets), min_size=1, max_size=4))
async def test_any_range_is_a_slice(store: BlobStore, premises: Premises, ranges: list[tuple[int, int | None]]) -> None:
    key = new_key()
    premises.expected.add(key)
    await put(store, key, _CONTENT, chunk_bytes=MIB)

    for offset, length in ranges:
        end = None if length is None else offset + length
        assert await content_of(store, key, offset=offset, length=length) == _CONTENT[offset:end]
