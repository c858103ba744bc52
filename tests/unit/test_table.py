"""Tables of one's own: what is read, and every problem by its line."""

import numpy as np
import pytest

from loom import ConfigError, FormatError, InputError
from loom.data import read_table
from loom.data.table import read_inputs

PLAIN = "a,b,kind\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n"


def test_a_plain_table():
    table = read_table(PLAIN, "kind")
    np.testing.assert_array_equal(table.inputs, [[1, 2], [3, 4], [5, 6], [7, 8]])
    assert table.inputs.dtype == np.float32
    assert table.targets.tolist() == [0, 1, 0, 1]
    assert (table.columns, table.target, table.classes) == (
        ("a", "b"),
        "kind",
        ("x", "y"),
    )


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", ", "),
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN,
        PLAIN + "\n\n",
        PLAIN.replace("kind", '"kind"').replace("x", '"x"'),
    ],
    ids=["semicolon", "tab", "spaces", "crlf", "bom", "empty lines", "quotes"],
)
def test_the_same_table_written_otherwise(text):
    found, plain = read_table(text, "kind"), read_table(PLAIN, "kind")
    np.testing.assert_array_equal(found.inputs, plain.inputs)
    assert (found.columns, found.classes) == (plain.columns, plain.classes)


def test_between_semicolons_a_comma_is_a_decimal_point():
    text = "a;b;y\n1,5;-,25;1\n2;3,0e1;2\n0,5;1;0\n"
    table = read_table(text, task="regression")
    np.testing.assert_array_equal(table.inputs, [[1.5, -0.25], [2, 30], [0.5, 1]])
    assert read_inputs("a;b\n1,5;2\n", ["a"]).tolist() == [[1.5]]


def test_the_target_is_the_last_or_by_name_or_number():
    assert read_table(PLAIN).target == "kind"
    assert read_table(PLAIN, "3").target == "kind"
    table = read_table(PLAIN, "a", ignore=["kind"], task="regression")
    assert (table.target, table.columns) == ("a", ("b",))


def test_without_a_header_columns_are_numbers():
    table = read_table("1,2,x\n3,4,y\n")
    assert (table.columns, table.target) == (("1", "2"), "3")
    forced = read_table("1,2,3\n4,5,6\n7,8,9\n", header=True)
    assert (forced.columns, len(forced.inputs)) == (("1", "2"), 2)


def test_classification_or_regression_by_the_target():
    def table(values, **options):
        return read_table(
            "a,t\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values)), **options
        )

    assert table([1, 2, 1, 2]).classes == ("1", "2")
    assert table([10, 9, 10, 9]).classes == ("9", "10")
    assert table([0.5, 1.5, 2.5]).classes == ()
    assert table(range(21)).classes == ()
    assert table([0, 1, 0], task="regression").targets.tolist() == [[0], [1], [0]]
    assert table([0.5, 1.5] * 3, task="classification").classes == ("0.5", "1.5")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", FormatError, "t: the file is empty."),
        ("a,b\n", FormatError, "t: the file has a header and no rows."),
        (
            "a,b\n1,2\n1\n1,2,3\n",
            FormatError,
            "t: line 3: expected 2 values as in line 1, got 1; line 4: expected 2 "
            "values as in line 1, got 3.",
        ),
        ("a,a\n1,2\n", FormatError, "t: two columns are named 'a'."),
        ("a,b\n1,x\nNA,y\n", FormatError, "t: line 3: a is missing (got 'NA')."),
        ("a,b\n1,x\n2,\n", FormatError, "line 3: b is missing (got '')."),
        ("a,b\nred,x\n2,y\n", InputError, "column 'a'"),
        ("a,b\n1e39,x\n2,y\n", InputError, "expected a finite number in column 'a'"),
        ("a,b\ninf,x\n2,y\n", InputError, "got inf in line 2"),
        ("a,b\n1,x\n2,x\n", InputError, "expected different values in the target 'b'"),
        ("b\nx\ny\n", InputError, "no column is left beside the target 'b'"),
        ('a,b\n1,"x\n2,y\n', FormatError, "t: line 3: unexpected end of data."),
        ("a,b\n1,v\n2,w\n3,x\n4,y\n5,z\n", InputError, "has 5 classes in 5 rows"),
        ("a,b\n1_0,x\n2,y\n", InputError, "column 'a'"),
    ],
)
def test_problems_are_told(text, kind, message):
    with pytest.raises(kind) as caught:
        read_table(text, name="t")
    assert message in str(caught.value)


def test_many_problems_are_cut():
    text = "a,b\n" + "1\n" * 12
    with pytest.raises(FormatError, match="and 7 more"):
        read_table(text)


def test_unknown_columns_and_tasks():
    with pytest.raises(ConfigError, match="Did you mean 'kind'"):
        read_table(PLAIN, "kin")
    with pytest.raises(ConfigError, match="unknown column '4'"):
        read_table(PLAIN, "4")
    with pytest.raises(ConfigError, match="unknown column 'c'"):
        read_table(PLAIN, ignore=["c"])
    with pytest.raises(ConfigError, match="unknown task 'cluster'"):
        read_table(PLAIN, task="cluster")
    with pytest.raises(InputError, match="of a regression, got 'x'"):
        read_table(PLAIN, task="regression")


def test_inputs_by_name_in_their_order():
    x = read_inputs("kind,b,a\nx,2,1\n", ["a", "b"])
    np.testing.assert_array_equal(x, [[1, 2]])
    np.testing.assert_array_equal(read_inputs("1,2\n3,4\n", ["a", "b"])[1], [3, 4])
    with pytest.raises(FormatError, match=r"expected 3 columns \(a, b, c\), got 2"):
        read_inputs("1,2\n", ["a", "b", "c"])
    with pytest.raises(ConfigError, match="unknown column 'b'"):
        read_inputs("a,c\n1,2\n", ["a", "b"])
    with pytest.raises(FormatError, match="line 2: a is missing"):
        read_inputs("a,b\n,2\n", ["a", "b"])
