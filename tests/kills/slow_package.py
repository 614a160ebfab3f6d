"""A small repository whose tests take a moment, with findings of known kinds."""

from pathlib import Path

SOURCE = """
import os
import subprocess


def shell(words: str) -> int:
    return subprocess.call(words, shell=True)


def value(text: str) -> object:
    return eval(text)
"""
TEST = """
import time


def test_waits_{number}() -> None:
    time.sleep(0.5)


def test_adds_{number}() -> None:
    assert {number} + 1 == {after}
"""


def make_sample(folder: Path) -> Path:
    """Write the repository: four modules of tests, two seconds in all."""
    folder.mkdir(parents=True)
    (folder / "shop.py").write_text(SOURCE, encoding="utf-8")
    for number in range(4):
        text = TEST.format(number=number, after=number + 1)
        (folder / f"test_{number}.py").write_text(text, encoding="utf-8")
    return folder
