import torch
from blake3 import blake3

from p2pgan.averaging.digest import blob_digest, chunk, vector_digest
from p2pgan.averaging.finite import is_finite
from p2pgan.protocol.ids import CHUNK_BYTES


def test_a_vectors_digest_is_that_of_its_little_endian_bytes():
    vector = torch.tensor([1.0, -2.5])
    assert vector_digest(vector) == blake3(b"\x00\x00\x80\x3f\x00\x00\x20\xc0").hexdigest()
    assert vector_digest(torch.tensor([0.0])) != vector_digest(torch.tensor([-0.0]))


def test_chunks_cover_the_blob_without_a_copy():
    blob = bytearray(2 * CHUNK_BYTES + 5)
    pieces = chunk(blob)
    assert [len(piece) for piece in pieces] == [CHUNK_BYTES, CHUNK_BYTES, 5]
    blob[-1] = 9
    assert pieces[-1][-1] == 9
    assert b"".join(pieces) == blob
    assert blob_digest(pieces[-1]) == blob_digest(bytes(blob[-5:]))


def test_an_exact_multiple_has_no_empty_chunk():
    assert [len(piece) for piece in chunk(bytes(CHUNK_BYTES))] == [CHUNK_BYTES]
    assert chunk(b"") == []


def test_finite():
    assert is_finite(torch.tensor([]))
    assert is_finite(torch.tensor([3e38, -3e38]))
    assert not is_finite(torch.tensor([0.0, float("nan"), 1.0]))
    assert not is_finite(torch.tensor([0.0, -float("inf")]))
