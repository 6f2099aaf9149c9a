"""A folder is made once, whoever else makes it at the same moment."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from core.folders import make_folder

AT_ONCE = 8
ROUNDS = 50


@pytest.fixture
def often_interrupted():
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("often_interrupted")
def test_of_several_that_make_a_folder_at_once_each_has_it(tmp_path):
    ready = Barrier(AT_ONCE)

    def make(number: int) -> bool:
        folder = tmp_path / str(number) / "journal"
        ready.wait()
        make_folder(folder)
        return folder.is_dir()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(ROUNDS):
            assert all(pool.map(make, [number] * AT_ONCE))


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_where_a_folder_should_be_is_named(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file'"):
        make_folder(tmp_path / place)
