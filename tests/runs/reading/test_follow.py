from jaxmetrics.record import Block
from jaxmetrics.runs.reading import Follower


def steps_of(follower):
    return [
        row["step"]
        for block in follower.read()
        if isinstance(block, Block)
        for row in block.rows
    ]


def append(path, *steps):
    with open(path, "a") as file:
        file.writelines(f'{{"step":{step}}}\n' for step in steps)


def test_lines_are_read_once(tmp_path):
    path = tmp_path / "lines"
    follower = Follower(path)
    assert steps_of(follower) == []
    append(path, 1, 2)
    assert steps_of(follower) == [1, 2]
    append(path, 3)
    assert steps_of(follower) == [3]
    assert not follower.restarted()


def test_a_replaced_file_is_read_from_the_start(tmp_path):
    path = tmp_path / "lines"
    append(path, 1, 2)
    follower = Follower(path)
    assert steps_of(follower) == [1, 2]
    path.write_text("")
    append(path, 1, 3, 4)
    assert follower.restarted()
    assert steps_of(follower) == [1, 3, 4]
