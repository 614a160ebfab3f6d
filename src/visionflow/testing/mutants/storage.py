"""Mutants of what keeps things: the log, blobs, views and the reads over them."""

from visionflow.testing.mutants.mutant import Mutant

POWER = "tests/powercuts/test_powercut.py::"
LOG = "tests/adapters/test_sqlite_log.py::"
FILES = "tests/adapters/test_files.py::"
QUERIES = "tests/runtime/test_queries.py::"

LOGS = (
    Mutant(
        "NORMAL instead of FULL: a commit is acknowledged before it is synced",
        "adapters/sqlite/schema.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = NORMAL",
        POWER + "test_nothing_acknowledged_is_lost_wherever_the_power_goes",
    ),
    Mutant(
        "no compare-and-set: whoever appends is believed",
        "adapters/sqlite/commits.py",
        "            if tail.seq != expect:\n",
        "            if tail.seq < 0:\n",
        LOG + "test_an_append_by_another_process_deposes_this_one",
    ),
    Mutant(
        "a log that failed takes the next append as if nothing had been",
        "adapters/sqlite/commits.py",
        '        self._failure = f"{type(error).__name__}: {error}"\n',
        "        del error\n",
        LOG + "test_a_full_disk_fails_all_appends_until_it_is_opened_again",
    ),
    Mutant(
        "a record's hash leaves out the record before",
        "adapters/chain.py",
        "return sha256(before + seq",
        "return sha256(b'' + seq",
        LOG + "test_it_is_a_log",
    ),
    Mutant(
        "a changed record is read as if it were whole",
        "adapters/chain.py",
        "        if found != digest:\n",
        "        if not found:\n",
        LOG + "test_it_is_a_log",
    ),
)

BLOBS = (
    Mutant(
        "a blob is named before its content is on the disk",
        "adapters/files.py",
        "            self._disk.sync(temporary)\n            self._disk.rename(temporary, path)\n",
        "            self._disk.rename(temporary, path)\n            self._disk.sync(path)\n",
        FILES + "test_content_is_synced_before_its_name_and_the_name_before_the_return",
    ),
    Mutant(
        "the name of a blob is not synced before an event mentions it",
        "adapters/files.py",
        "            self._disk.sync_folder(path.parent)\n        except OSError as error:\n",
        "            pass\n        except OSError as error:\n",
        POWER + "test_nothing_acknowledged_is_lost_wherever_the_power_goes",
    ),
    Mutant(
        "a blob whose content changed is handed out",
        "adapters/files.py",
        "        if sha256(content).hexdigest() != name:\n",
        "        if not content and name:\n",
        FILES + "test_they_are_blobs",
    ),
    Mutant(
        "a step is reported before its large value is stored",
        "worker/values.py",
        "Payload(blob=blobs.put(body))",
        "Payload(blob=__import__('hashlib').sha256(body).hexdigest())",
        "tests/worker/test_steps.py::test_a_large_value_is_in_its_blob_before_the_step_is_reported",
    ),
)

READS = (
    Mutant(
        "a read shows what is not acknowledged",
        "runtime/queries.py",
        "                if position >= target:\n                    break\n",
        "",
        QUERIES + "test_a_read_shows_nothing_that_is_not_acknowledged",
    ),
    Mutant(
        "a read does not wait for what its caller was told",
        "runtime/queries.py",
        "            if position >= target:\n                return position\n",
        "            if position >= 0:\n                return position\n",
        QUERIES + "test_a_read_sees_all_that_was_acknowledged_and_pages_without_gaps",
    ),
    Mutant(
        "rows move on although their changes did not",
        "adapters/sqlite/views.py",
        '                    connection.execute("ROLLBACK")\n',
        '                    connection.execute("UPDATE position SET seq = seq + 1; COMMIT")\n',
        QUERIES + "test_changes_and_position_are_kept_together_or_not_at_all",
    ),
    Mutant(
        "rows forget that a task waits again after a failed attempt",
        "runtime/views.py",
        "status=TaskStatus.PENDING, agent=None, reason=event.reason",
        "agent=None, reason=event.reason",
        QUERIES + "test_a_task_that_waits_for_its_next_attempt_is_shown_as_pending",
    ),
)

MUTANTS = (*LOGS, *BLOBS, *READS)
