"""kill -9 at every step of a push: nothing doubled, nothing lost."""

import json

import pytest

from .desk import Desk, connector, password

# Every name in engine/src/failpoint.rs, and further passes of those that are met once a table.
STEPS = ["staging:1", "staging:3", "loaded:1", "loaded:4", "locked:1", "moved:1", "moved:3",
         "committing:1", "pushed:1", "pushed:2"]
KILLED = -6


def pushed(connection) -> list[tuple[int, int, int]]:
    """Epochs, how many rows each has, and how many of those say when they became visible."""
    cursor = connection.cursor().execute(
        'SELECT "EPOCH", COUNT(*), COUNT(VISIBLE_AT) FROM BANKING.FRESHET.EPOCHS '
        "GROUP BY 1 ORDER BY 1")
    return [tuple(int(cell) for cell in row) for row in cursor.fetchall()]


@pytest.mark.parametrize("step", STEPS)
def test_a_push_killed_at_any_step_is_made_once(freshet, emulator, lake, tmp_path, step):
    desk = Desk(freshet, tmp_path, lake, password(emulator.url), FRESHET_SECRET="tulip")
    epochs = desk.epochs()
    first, middle, last = epochs[0], epochs[len(epochs) // 2], epochs[-1]
    desk.publish("push", "--epoch", str(first))
    # As after a crash of the service: the next start is a later generation.
    desk.publish("push", "--epoch", str(middle), code=KILLED, FRESHET_FAILPOINT=step)
    raise_generation(lake)
    desk.publish("push", "--epoch", str(middle))
    assert all(table["same"] for table in desk.verify())
    desk.publish("push")
    assert all(table["same"] for table in desk.verify())
    with connector(emulator) as connection:
        # The time of each push is recorded, at the latest by the next one.
        assert pushed(connection) == [(first, 1, 1), (middle, 1, 1), (last, 1, 1)]


def raise_generation(lake) -> None:
    """What a restart of the service does to the decisions that follow."""
    for path in (lake / "_freshet/epochs").glob("*.json"):
        decision = json.loads(path.read_text())
        decision["generation"] += 1
        path.write_text(json.dumps(decision))


@pytest.mark.parametrize("step", ["moved:2", "committing:1", "pushed:1"])
def test_a_local_file_too(freshet, lake, tmp_path, step):
    target = f'[publish.local]\npath = "{tmp_path}/warehouse.sqlite"\n'
    desk = Desk(freshet, tmp_path, lake, target)
    desk.publish("push", "--epoch", str(desk.epochs()[0]))
    desk.publish("push", code=KILLED, FRESHET_FAILPOINT=step)
    desk.publish("push")
    assert all(table["same"] for table in desk.verify())
