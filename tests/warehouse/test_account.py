"""The same on a real account, where SNOWFLAKE_* name one; skipped, loudly, where not.

SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER, one of SNOWFLAKE_PASSWORD, SNOWFLAKE_TOKEN and
SNOWFLAKE_PRIVATE_KEY_PATH, and a SNOWFLAKE_DATABASE whose schemas ANALYTICS and FRESHET the role may
fill: `freshet publish setup --print` writes the grants. The database should be one for tests.
"""

import os

import pytest

from .desk import Desk

pytestmark = pytest.mark.skipif(
    not all(os.environ.get(f"SNOWFLAKE_{name}") for name in ("ACCOUNT", "USER", "DATABASE")),
    reason="no Snowflake account: SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and SNOWFLAKE_DATABASE are not set")


def test_a_real_account_holds_the_lake_row_for_row(freshet, lake, tmp_path):
    desk = Desk(freshet, tmp_path, lake, "")
    epochs = desk.epochs()
    to = ["--target", "snowflake"]
    desk.publish("setup", "--apply", *to)
    desk.publish("push", "--epoch", str(epochs[0]), *to)
    for epoch in epochs[1:]:
        desk.publish("push", "--epoch", str(epoch), *to)
    said = desk.publish("verify", *to)
    assert "DIFFER" not in said and "same" in said
    desk.publish("reset", *to)
