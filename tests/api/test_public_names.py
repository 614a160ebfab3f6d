"""What can be imported from the package itself."""

import visionflow
from visionflow.domain.supervision import Upkeep


def test_every_name_that_is_promised_can_be_had() -> None:
    assert all(getattr(visionflow, name) is not None for name in visionflow.__all__)


def test_how_an_agent_is_kept_at_work_is_said_with_names_of_the_package() -> None:
    kept = visionflow.Upkeep(visionflow.RecoverySpec(restarts_max=5), visionflow.RecyclingSpec())
    assert isinstance(kept, Upkeep) and kept.recovery.restarts_max == 5
