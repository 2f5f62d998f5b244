"""What a process inherits over exec: descriptors and the umask."""

from __future__ import annotations

import os

import pytest

from l7.master.resources.process_attributes import close_inherited, restore_umask


def test_descriptors_that_nobody_named_are_closed_and_others_are_not(tmp_path):
    forgotten, named, ours = (os.open(tmp_path, os.O_RDONLY) for _ in range(3))
    os.set_inheritable(forgotten, True)
    os.set_inheritable(named, True)
    closed = close_inherited({named})
    assert forgotten in closed
    assert not {0, 1, 2, named, ours} & set(closed)
    os.close(named)
    os.close(ours)


@pytest.mark.parametrize(("inherited", "becomes"), [(0o777, 0o077), (0, 0o022), (0o027, 0o027), (0o002, 0o022)])
def test_the_umask_keeps_others_out_and_ourselves_in(inherited, becomes):
    before = os.umask(inherited)
    try:
        restore_umask()
        assert os.umask(0o022) == becomes
    finally:
        os.umask(before)
