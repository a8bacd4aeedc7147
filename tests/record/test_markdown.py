from jaxmetrics.record import markdown_table


def test_cells_are_escaped_and_aligned():
    table = markdown_table(["a|", 1], [["x|y", 2]], lambda c: str(c).replace("|", "!"))
    assert table == "| a! | 1 |\n| --- | --- |\n| x!y | 2 |\n"
    table = markdown_table(["a", "b"], [], str, right=0)
    assert table == "| a | b |\n| ---: | ---: |\n"
