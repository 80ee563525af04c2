from hypothesis import given
from hypothesis import strategies as st

from flowmo_data.epochs.progress import deal_batches

counts = st.lists(st.integers(0, 9), min_size=1, max_size=5)


def in_turn(available):
    """The order in which a DataLoader takes its workers' batches."""
    left = list(available)
    while any(left):
        for worker, count in enumerate(left):
            if count:
                left[worker] -= 1
                yield worker


@given(counts, st.integers(0, 50))
def test_batches_are_dealt_as_the_dataloader_takes_them(available, num_batches):
    order = list(in_turn(available))
    taken = order[:num_batches]
    given_out, next_worker = deal_batches(num_batches, available)
    assert given_out == [taken.count(worker) for worker in range(len(available))]
    if num_batches < len(order):
        left = [have - had for have, had in zip(available, given_out, strict=True)]
        rotated = left[next_worker:] + left[:next_worker]
        assert [(next_worker + worker) % len(left) for worker in in_turn(rotated)] == order[num_batches:]
