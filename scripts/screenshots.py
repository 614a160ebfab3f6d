"""Takes the pictures of a report that the docs show: wide and narrow, light and dark.

    python scripts/screenshots.py [REPORT] [--out FOLDER]

REPORT is a run's folder or its report.html; without it a report of invented facts is made, which
needs nothing but this repository. Chromium must be installed. Pictures are 24-bit PNG, packed anew
with the strongest setting; one that is still above the bound is an error.
"""

import argparse
import struct
import sys
import tempfile
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.chromium import BrowserError, Page, address, page  # noqa: E402

BYTES_MAX = 200_000
SIZES = {"wide": (1280, 1000), "narrow": (390, 1000)}
PARTS = {"report": None, "report-architecture": "#architecture"}
"""The beginning of each picture's name, and where the page is scrolled to."""


def main(words: list[str]) -> int:
    """Take the pictures; 0 when all are there."""
    parser = argparse.ArgumentParser(description="Take the pictures of a report for the docs.")
    parser.add_argument("report", nargs="?", type=Path, help="a run's folder or its report.html")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    given = parser.parse_args(words)
    try:
        with tempfile.TemporaryDirectory() as folder, page() as tab:
            report = _report(given.report, Path(folder))
            written = take(tab, report, given.out)
    except (BrowserError, OSError) as error:
        print(f"screenshots: {error}", file=sys.stderr)
        return 1
    large = [path for path in written if path.stat().st_size > BYTES_MAX]
    for path in written:
        print(f"{path} {path.stat().st_size:,} bytes{' is too large' if path in large else ''}")
    return 1 if large else 0


def take(tab: Page, report: Path, out: Path) -> list[Path]:
    """A picture of each part in each size and colour scheme; the files, in order."""
    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for part, selector in PARTS.items():
        for size, (width, height) in SIZES.items():
            for dark in (False, True):
                if selector is not None and (size == "narrow" or dark):
                    continue
                tab.open(address(report), width, height, dark)
                path = out / f"{part}-{size}-{'dark' if dark else 'light'}.png"
                path.write_bytes(packed(tab.picture(selector)))
                written.append(path)
    return written


def _report(given: Path | None, scratch: Path) -> Path:
    """The page to take pictures of.

    Raises:
        OSError: there is none at the given place.
    """
    if given is not None:
        report = given / "report.html" if given.is_dir() else given
        report.stat()
        return report
    from tests.report.sample_facts import sample
    from visionflow.agents.report.html import report_html
    from visionflow.agents.report.view import view_of

    made = scratch / "report.html"
    made.write_text(report_html(view_of(sample())), encoding="utf-8")
    return made


def packed(png: bytes) -> bytes:
    """The same picture, its pixels compressed as far as zlib can; other chunks but the header and
    the end are left out."""
    header, pixels, at = b"", b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            header = data
        elif kind == b"IDAT":
            pixels += data
        at += 12 + length
    smaller = min(
        (_compressed(zlib.decompress(pixels), strategy) for strategy in range(4)), key=len
    )
    return png[:8] + _chunk(b"IHDR", header) + _chunk(b"IDAT", smaller) + _chunk(b"IEND", b"")


def _compressed(pixels: bytes, strategy: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 15, 9, strategy)
    return packer.compress(pixels) + packer.flush()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
