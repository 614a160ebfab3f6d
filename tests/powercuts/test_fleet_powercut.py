"""The fleet's log through the sweep: whatever the power takes, nothing that was told is lost."""

from pathlib import Path

from visionflow.adapters.files import Disk, FileBlobs
from visionflow.testing.powercut import sweep
from visionflow.testing.powercut.fleet import fleet_workload


def test_nothing_that_the_fleet_told_is_lost_wherever_the_power_goes() -> None:
    report = sweep(1, appends=30, workload=fleet_workload)
    assert report.faults == ()
    assert report.acknowledgements >= 15 and report.images > 100


class Unsynced(Disk):
    """Syncs no file."""

    def __init__(self, disk: Disk) -> None:
        self.make_folder, self.write, self.rename = disk.make_folder, disk.write, disk.rename
        self.sync_folder = disk.sync_folder

    def sync(self, path: Path) -> None: ...


def test_a_value_whose_blob_is_not_durable_is_found() -> None:
    def open_blobs(root: Path, disk: Disk) -> FileBlobs:
        return FileBlobs(root, Unsynced(disk))

    report = sweep(1, appends=24, workload=fleet_workload, open_blobs=open_blobs)
    assert any("names a blob" in fault for fault in report.faults)
