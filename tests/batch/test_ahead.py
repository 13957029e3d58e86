import threading

import pytest

from mmseg_mllm.batch.ahead import batches, in_background


def test_work_is_done_ahead_in_order_and_in_another_thread():
    started, taken = threading.Event(), []

    def items():
        for k in range(6):
            taken.append(k)
            yield k

    def work(k):
        if k == 2:
            started.set()
        return k * k, threading.get_ident()

    found = in_background(items(), work, ahead=3)
    item, future = next(found)
    assert item == 0
    assert started.wait(10)  # the third is worked on, the first alone was asked for
    assert taken == [0, 1, 2]
    rest = list(found)
    assert [future.result()[0], *(f.result()[0] for _, f in rest)] == [0, 1, 4, 9, 16, 25]
    assert threading.get_ident() not in {f.result()[1] for _, f in rest}


def test_an_error_comes_with_its_item():
    (_, good), (_, bad) = in_background([1, 0], lambda k: 1 / k, ahead=2)
    assert good.result() == 1
    with pytest.raises(ZeroDivisionError):
        bad.result()


def test_batches():
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
