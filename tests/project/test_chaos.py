"""The fault suite in short: every fault once, on the real stack. ``make chaos`` is the long form.

The database is PostgreSQL's; or that of the server in KAFKAJOURNEY_TEST_DATABASE_URL, behind a proxy.
"""

import json
from pathlib import Path

import pytest

from tests.chaos import campaign
from tests.chaos.faults import WEIGHTS
from tests.stack import Missing, real_stack
from tests.stack.given import GIVEN
from tests.stack.real import on_given_server
from tests.support.processes import missing_part

pytestmark = pytest.mark.stack


def test_after_every_fault_everything_is_stored_once(tmp_path: Path) -> None:
    plan = campaign.Plan(events=10_000, kills=10, seed=5, pause=0.5, rate=500, first=list(WEIGHTS))
    try:
        with (
            real_stack(tmp_path / "stack", with_postgres=not GIVEN) as alone,
            on_given_server(alone, GIVEN) as stack,
        ):
            summary = campaign.run(stack, plan, tmp_path, print)
    except Missing as missing:
        missing_part(missing)
    assert summary["verified"], json.dumps(summary, indent=2)
