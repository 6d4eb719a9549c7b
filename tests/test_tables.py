"""Tables as people have them: headers of numbers, targets that stand elsewhere, columns that are no features."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symnet.cli.main import main
from symnet.data.columns import Columns
from symnet.data.samples import Data, Signature, load_data
from symnet.stream import Arrow
from symnet.support.errors import DataError

TWO = Signature({"x": ((2,), "float")}, ((), "int", 3))
VALUE = Signature({"x": ((2,), "float")}, ((1,), "float", None))
PAIR = Signature({"left": ((), "float"), "right": ((1,), "float")}, ((), "int", 3))
MODEL = """
name = "m"
input = { name = "x", shape = [2] }
loss = "cross_entropy"
[[layers]]
kind = "Dense"
units = 3
"""


def read(
    folder: Path,
    text: str,
    signature: Signature | None = TWO,
    *,
    labelled: bool = True,
    goal: str | None = None,
    features: str | None = None,
    header: bool | None = None,
) -> Data:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    columns = Columns(goal, None if features is None else features.split(","), header)
    return load_data(folder / "t.csv", signature, target=labelled, columns=columns)


def agree(data: Data, x: Any, y: Any) -> None:
    np.testing.assert_array_equal(np.asarray(data.x), x)
    np.testing.assert_array_equal(np.asarray(data.y), y)


def refused(folder: Path, text: str, *told: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        read(folder, text, **options)
    for each in told:
        assert each in str(caught.value), f"{each!r} is not in: {caught.value}"


COUNTED = {
    "integers": "0,1,2\n0.5,1.5,2\n0.25,1,0\n",
    "quoted": '"0","1","2"\n0.5,1.5,2\n0.25,1,0\n',
    "floats": "0.0, 1.0, 2.0\n0.5,1.5,2\n0.25,1,0\n",
    "after an empty line": "\n0,1,2\n0.5,1.5,2\n0.25,1,0\n",
    "with a mark": "\ufeff0,1,2\r\n0.5,1.5,2\r\n0.25,1,0\r\n",
}


@pytest.mark.parametrize("name", COUNTED)
def test_a_first_line_that_counts_is_a_sample_or_names_as_it_is_said(name: str, tmp_path: Path) -> None:
    text = COUNTED[name]
    refused(tmp_path, text, "names of columns", "first sample", "--header yes", "--header no")
    refused(tmp_path, text, "--header yes", "--header no", signature=None, labelled=False)
    named = read(tmp_path, text, header=True)
    np.testing.assert_array_equal(np.asarray(named.x), [[0.5, 1.5], [0.25, 1]])
    np.testing.assert_array_equal(np.asarray(named.y), [2, 0])
    sample = read(tmp_path, text, header=False)
    np.testing.assert_array_equal(np.asarray(sample.x), [[0, 1], [0.5, 1.5], [0.25, 1]])
    np.testing.assert_array_equal(np.asarray(sample.y), [2, 2, 0])
    zero = "0.0" if "0.0" in text else "0"
    by_number = read(tmp_path, text, header=True, goal=zero, signature=VALUE)
    np.testing.assert_array_equal(np.asarray(by_number.y), [0.5, 0.25])


MANY = ",".join(map(str, range(1, 10)))
LIKE_NAMES = {
    "from one": "1,2,3\n0.5,1.5,2\n0.25,1.0,0\n",
    "years": "1990,2000,2010\n0.5,1.5,2\n2.5e1,1.0,0\n",
    "quoted": '"7","8","9"\n0.5,1.5,2\n0.25,1.0,0\n',
    "classes in front": "2,4,6\n2,0.5,1.5\n0,0.25,1.0\n",
    "spaces": " 10, 20, 30\n-0.5, 1.5, 2\n0.25, 1.0, 0\n",
    "many columns": f"{MANY}\n{'7,' * 8}1\n",
    "many columns of bytes": f"{MANY}\n{'0,255,0,17,' * 2}1\n{'3,' * 8}0\n",
}


@pytest.mark.parametrize("name", LIKE_NAMES)
def test_other_first_lines_of_numbers_that_may_be_names(name: str, tmp_path: Path) -> None:
    """By hand: the first line differs from all below it as names do, so nobody can say that it is a sample."""
    text = LIKE_NAMES[name]
    refused(tmp_path, text, "names of columns", "--header yes", "--header no", signature=None)
    refused(tmp_path, text, "names of columns", "first sample", signature=None, labelled=False)
    rows = text.count("\n")
    assert read(tmp_path, text, None, header=True).count == rows - 1
    assert read(tmp_path, text, None, header=False).count == rows
    (tmp_path / "t.csv").write_text(text)
    goal = text.split(",")[0].strip(' "')
    assert read(tmp_path, text, None, header=True, goal=goal).count == rows - 1


SAMPLES = {
    "all are counted": "1,2,3,4,5,6,7,8\n9,10,11,12,13,14,15,16\n",
    "few columns": "1,2,3,4\n4,3,2,1\n",
    "written with points": "1.0,2.0,3.0\n0.5,1.5,2\n0.25,1.0,0\n",
    "whole numbers below": "1,2,3\n0.5,4,2\n0.25,2,0\n",
    "not rising": "5,3,0\n0.5,1.5,2\n0.25,1.0,0\n",
    "one row below": "1,2,3\n0.5,1.5,2\n",
    "one column that may be a feature": "1,2\n0.5,1\n0.25,0\n",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_first_lines_of_numbers_that_are_samples(name: str, tmp_path: Path) -> None:
    text = SAMPLES[name]
    assert read(tmp_path, text, None).count == text.count("\n")


def test_two_columns_that_are_the_target(tmp_path: Path) -> None:
    """The first of them would be a feature that says what the last one is."""
    for header in ("label,a,label", "a,Label,label", "label,a,b,label", "y,y,x"):
        width = header.count(",")
        text = f"{header}\n{'1,' * width}0\n{'2,' * width}1\n"
        refused(tmp_path, text, "have one name", "rename", signature=None)
    refused(tmp_path, "label,a,label\n1,1,0\n", "have one name", labelled=False)
    assert read(tmp_path, "y,x,label\n0.5,1.5,2\n").count == 1


@pytest.mark.parametrize("text", ["a|b|c\n1|2|0\n", "1|2|0\n", "0.5 1.5 2\n0.25 1 0\n", "1\t2\t0\n", "0,5;1,5;2\n"])
def test_other_separators_are_named(text: str, tmp_path: Path) -> None:
    refused(tmp_path, text, "separate fields by commas")


def test_a_target_that_holds_no_labels(tmp_path: Path) -> None:
    refused(tmp_path, "species,a,b\n2,0.5,1.5\n0,0.25,1\n", "the last column, which holds 1.5", "--target-column")
    refused(tmp_path, "species,a,b\n2,0.5,1.5\n0,0.25,1\n", "column 'a', which holds 0.5", goal="a")
    refused(tmp_path, "a,b,label\n2,0.5,1\n0,0.25,9223372036854775808\n", "which holds 9.22337e+18")
    assert read(tmp_path, "species,a,b\n2,0.5,1.5\n0,0.25,1\n", VALUE, features="species,a").y is not None


def test_one_column_that_begins_with_0(tmp_path: Path) -> None:
    one = Signature({"x": ((1,), "float")})
    refused(tmp_path, "0\n0.5\n", "--header yes", signature=one, labelled=False)
    assert read(tmp_path, "0\n0.5\n", one, labelled=False, header=True).count == 1
    assert read(tmp_path, "0\n0.5\n", one, labelled=False, header=False).count == 2


@pytest.mark.parametrize("first", ["1,2,3", "0,1,1", "2,1,0", "0,1.5,2", "1,1,2"])
def test_a_first_line_of_other_numbers_is_a_sample(first: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"{first}\n0.5,1.5,2\n").count == 2
    assert read(tmp_path, f"{first}\n0.5,1.5,2\n", header=True).count == 1


def test_a_line_of_names_with_numbers_in_it(tmp_path: Path) -> None:
    text = "1990,2000,label\n0.5,1.5,2\n"
    refused(tmp_path, text, "line 1, column 3", "--header yes")
    assert read(tmp_path, text, header=True).count == 1
    refused(tmp_path, "a,b\n0.5,1.5,2\n", "line 2: 3 fields where the line of names has 2", header=True)


X, Y = [[0.5, 1.5], [0.25, 1]], [2, 0]
ELSEWHERE = {
    "in front": "label,a,b\n2,0.5,1.5\n0,0.25,1\n",
    "between": "a,label,b\n0.5,2,1.5\n0.25,0,1\n",
    "last": "a,b,label\n0.5,1.5,2\n0.25,1,0\n",
    "with spaces": " label , a , b\n 2 , 0.5 , 1.5\n 0 , 0.25 , 1\n",
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_target_that_stands_elsewhere(name: str, tmp_path: Path) -> None:
    text = ELSEWHERE[name]
    data = read(tmp_path, text, goal="label")
    agree(data, X, Y)
    assert data.y is not None and data.y.dtype == np.int64
    agree(read(tmp_path, text, goal="label", features="b,a"), np.flip(X, 1), Y)
    assert np.asarray(read(tmp_path, text, goal="label", labelled=False).y).tolist() == Y


def test_columns_without_names_are_called_by_their_numbers(tmp_path: Path) -> None:
    agree(read(tmp_path, "2,0.5,1.5\n0,0.25,1\n", goal="0"), X, Y)
    agree(read(tmp_path, "2,0.5,7,1.5\n0,0.25,7,1\n", goal="0", features="1,3"), X, Y)
    refused(tmp_path, "2,0.5,1.5\n", "no column 'label'", "no line of names", "0, 1, 2", goal="label")


WIDE = "id,name,a,b,note,label\n1,first,0.5,1.5,,2\n2,second,0.25,1,nan,0\n"


def test_columns_that_are_not_chosen_may_hold_anything(tmp_path: Path) -> None:
    agree(read(tmp_path, WIDE, goal="label", features="a,b"), X, Y)
    agree(read(tmp_path, WIDE, features="a,b"), X, Y)
    found = read(tmp_path, WIDE, features="a,b", labelled=False)
    assert found.y is None and np.asarray(found.x).tolist() == X
    refused(tmp_path, WIDE, "line 2, column 2", "'first' is no number", "--feature-columns", goal="label")
    refused(tmp_path, WIDE.replace("1.5", ""), "line 2, column 4", "empty", goal="label", features="a,b")
    refused(tmp_path, WIDE + "3,third,0,1,2\n", "line 4: 5 fields where the line of names has 6", features="a,b")


@pytest.mark.parametrize("name", ["label", "Label", "target", "class", "y", "LABELS"])
def test_a_name_that_speaks_against_the_last_column(name: str, tmp_path: Path) -> None:
    text = f"{name},a,b\n2,0.5,1.5\n0,0.25,1\n"
    for labelled in (True, False):
        refused(
            tmp_path, text, "the last column, 'b'", f"--target-column {name}", "--target-column b", labelled=labelled
        )
    agree(read(tmp_path, text, goal=name), X, Y)
    by_b = read(tmp_path, text, VALUE, goal="b")
    agree(by_b, [[2, 0.5], [0, 0.25]], [1.5, 1])
    if name != "y":
        agree(read(tmp_path, f"y,x,{name}\n0.5,1.5,2\n0.25,1,0\n"), X, Y)  # y is a coordinate here


SEVERAL = {
    "in front, and a letter last": "label,x,y",
    "two words": "target,a,class",
    "capitals": "Target,a,LABEL",
    "spaces around": " class , a , target ",
    "no x beside y": "y,a,label",
    "compounds": "class_label,a,TargetClass",
    "as pandas writes a second one": "label,a,label.1",
    "three": "y,target,class",
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_names_that_say_target(name: str, tmp_path: Path) -> None:
    text = f"{SEVERAL[name]}\n0,1,2\n1,2,0\n0,1,1\n"
    names = [each.strip() for each in SEVERAL[name].split(",")]
    for labelled in (True, False):
        signature = Signature({"x": ((1 + labelled,), "float")}, ((), "int", 3))
        ways = [f"--target-column {each}" for each in (names[0], names[2])]
        refused(tmp_path, text, *ways, signature=signature, labelled=labelled)
    agree(read(tmp_path, text, goal=names[0]), [[1, 2], [2, 0], [1, 1]], [0, 1, 0])
    agree(read(tmp_path, text, goal=names[2]), [[0, 1], [1, 2], [0, 1]], [2, 0, 1])


def test_the_name_with_a_space_is_quoted(tmp_path: Path) -> None:
    refused(tmp_path, "Class Label,a,b\n0,1,2\n", "--target-column 'Class Label', or")


@pytest.mark.parametrize("header", ["x,y,label", "y,x,Class", "X,Y,target", "a,b,y", "x,x2,y", "a,classroom,label"])
def test_one_name_that_says_target_and_is_last(header: str, tmp_path: Path) -> None:
    """A y beside an x is a coordinate where the last column is a label."""
    agree(read(tmp_path, f"{header}\n0.5,1.5,2\n0.25,1,0\n"), X, Y)


def test_a_name_that_says_target_and_is_chosen_as_input(tmp_path: Path) -> None:
    agree(read(tmp_path, "label,x,y\n0.5,1.5,2\n0.25,1,0\n", features="label,x"), X, Y)
    refused(tmp_path, "label,x,class,y\n1,0.5,1.5,2\n", "a column 'class'", features="label,x")


NUMBERED = {
    "from 0": range(30),
    "from 1": range(1, 31),
    "shuffled": np.random.default_rng(0).permutation(30),
    "backwards": range(30, 0, -1),
    "a part": np.random.default_rng(0).permutation(99)[:30],
    "a sorted part": range(3, 93, 3),
}
AGAIN = {"one below the other": [*range(15), *range(15)], "with replacement": [k * k % 7 for k in range(30)]}
INDICES = (",a,label", "Unnamed: 0,a,label", "Unnamed: 0.1,a,label")
KEYS = (
    "id,a,label",
    "Index,a,label",
    "a, ID ,label",
    "row_id,a,label",
    "rownames,a,label",
    "a,,label",
    "level_0,a,label",
)
PRIVATE = ("customer_id,a,label", "PassengerId,a,label", "a,Sample ID,label")


def numbered(header: str, counts: Any) -> str:
    """A table in which the column that may count has these numbers, and the others fractions and labels."""
    names = [name.strip() for name in header.split(",")]
    fraction, label = names.index("a"), names.index("label")
    rows = [["", "", ""] for _ in counts]
    for k, (row, count) in enumerate(zip(rows, counts, strict=True)):
        row[fraction], row[label], row[3 - fraction - label] = f"{k / 7}", f"{k % 2}", f"{count}"
    return "\n".join([header, *map(",".join, rows)]) + "\n"


@pytest.mark.parametrize("name", NUMBERED)
@pytest.mark.parametrize("header", [*INDICES, *KEYS, *PRIVATE])
def test_a_column_that_only_counts_the_rows(header: str, name: str, tmp_path: Path) -> None:
    text = numbered(header, NUMBERED[name])
    for labelled in (True, False):
        one = Signature({"x": ((2 if labelled else 3,), "float")}, ((), "int", 2))
        refused(tmp_path, text, "only counts the rows", "input", "--feature-columns", signature=one, labelled=labelled)
    refused(tmp_path, text, "only counts the rows", goal="label")
    one = Signature({"x": ((1,), "float")}, ((), "int", 2))
    assert np.shape(read(tmp_path, text, one, features="a").x) == (30, 1)


def test_few_rows_that_are_counted(tmp_path: Path) -> None:
    for header in (*INDICES, *KEYS):
        refused(tmp_path, numbered(header, [2, 0, 1]), "only counts the rows")
    for header in INDICES:
        refused(tmp_path, numbered(header, [7]), "only counts the rows")
    for header in (*KEYS, *PRIVATE):
        assert read(tmp_path, numbered(header, [7])).count == 1  # one row of many, whose number may repeat
    for header in PRIVATE:  # a few of many rows, with a category each
        assert read(tmp_path, numbered(header, [7, 3])).count == 2


@pytest.mark.parametrize("name", AGAIN)
def test_numbers_that_repeat(name: str, tmp_path: Path) -> None:
    """In front and without a name they are an index all the same; with one, those of a group."""
    for header in INDICES:
        refused(tmp_path, numbered(header, AGAIN[name]), "only counts the rows")
    for header in (*KEYS, *PRIVATE):
        assert read(tmp_path, numbered(header, AGAIN[name])).count == 30


@pytest.mark.parametrize("header", ["t,a,label", "age,a,label", "heat_index,a,label", "a,idle,label", "grid,a,label"])
def test_ordinary_columns_of_distinct_whole_numbers(header: str, tmp_path: Path) -> None:
    assert read(tmp_path, numbered(header, range(30))).count == 30


@pytest.mark.parametrize("header", ["id,a,label", ",a,label", "index,a,label"])
def test_columns_of_these_names_that_measure(header: str, tmp_path: Path) -> None:
    assert read(tmp_path, numbered(header, np.arange(30) / 4)).count == 30
    assert read(tmp_path, "".join(f"{k},{k / 7},{k % 2}\n" for k in range(2, 30))).count == 28  # it may be time


def test_a_counter_is_no_target(tmp_path: Path) -> None:
    for header in ("a,b,id", "a,b,Index", "a,b,"):
        text = f"{header}\n0.5,1.5,4\n0.25,1,2\n0.5,2,3\n"
        refused(tmp_path, text, "would be the target", "--target-column", signature=VALUE)
        refused(tmp_path, text, "would be the target", signature=VALUE, features="a,b")
        assert read(tmp_path, text, VALUE, goal=header[4:]).count == 3
    assert read(tmp_path, "a,b,id\n0.5,1.5,2\n0.25,1,2\n").count == 2


WRONG: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "nearest target": ("a,b,label\n1,2,0\n", {"goal": "lable"}, ("no column 'lable'", "did you mean 'label'")),
    "nearest feature": ("age,sex,label\n1,2,0\n", {"features": "age,sexx"}, ("no column 'sexx'", "'sex'")),
    "target among features": ("a,b,label\n1,2,0\n", {"goal": "a", "features": "a,b"}, ("both the target and",)),
    "last among features": ("a,b\n1,2\n", {"features": "a,b"}, ("both the target and", "--target-column")),
    "twice": ("a,b,label\n1,2,0\n", {"features": "a,a"}, ("named twice",)),
    "names twice": ("a,a,label\n1,2,0\n", {"features": "a"}, ("2 columns of the name 'a'",)),
    "too few features": ("a,b,label\n1,2,0\n", {"features": "a"}, ("has 1 numbers a sample", "takes 2")),
    "too wide": ("a,b,c,label\n1,2,3,0\n", {}, ("has 3 numbers a sample", "takes 2")),
    "only a target": ("label\n0\n", {"goal": "label"}, ("at least one column for the input",)),
}


@pytest.mark.parametrize("name", WRONG)
def test_columns_that_are_not_there(name: str, tmp_path: Path) -> None:
    text, options, told = WRONG[name]
    refused(tmp_path, text, *told, **options)


def test_several_inputs_take_the_columns_of_their_names(tmp_path: Path) -> None:
    data = read(tmp_path, "right,other,left,label\n1.5,9,0.5,2\n1,9,0.25,0\n", PAIR)
    assert isinstance(data.x, dict)
    np.testing.assert_array_equal(data.x["left"], [0.5, 0.25])
    np.testing.assert_array_equal(data.x["right"], [[1.5], [1]])
    np.testing.assert_array_equal(np.asarray(data.y), Y)
    refused(tmp_path, "1.5,0.5,2\n", "inputs left, right", signature=PAIR)
    refused(tmp_path, "left,rigth,label\n1,2,0\n", "no column 'right'", "'rigth'", signature=PAIR)
    refused(tmp_path, "left,right,label\n1,2,0\n", "take the columns of these names", signature=PAIR, features="left")


# --- the command line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.toml").write_text(MODEL)
    rng = np.random.default_rng(0)
    rows = [(k % 3, k % 3 + 0.01 * a, -(k % 3) + 0.01 * b) for k, (a, b) in enumerate(rng.normal(size=(60, 2)))]
    (tmp_path / "front.csv").write_text("label,a,b\n" + "".join(f"{c},{a},{b}\n" for c, a, b in rows))
    (tmp_path / "last.csv").write_text("a,b,label\n" + "".join(f"{a},{b},{c}\n" for c, a, b in rows))
    (tmp_path / "counted.csv").write_text("0,1,2\n" + "".join(f"{a},{b},{c}\n" for c, a, b in rows))
    return tmp_path


def outcome(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(list(words))
    streams = capsys.readouterr()
    return code, streams.out + streams.err


def test_training_and_prediction_of_named_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same numbers as of the table with the target last."""
    train = ("train", "m.toml", "--epochs", "3", "--quiet")
    predict = ("predict", "m.toml", "--params", "p.npz", "--data")
    tables = {
        "last.csv": (),
        "front.csv": ("--target-column", "label"),
        "counted.csv": ("--header", "yes", "--target-column", "2", "--feature-columns", "0, 1"),
    }
    said = {}
    for name, columns in tables.items():
        code, text = outcome(capsys, *train, "--data", name, "--params", "p.npz", *columns)
        assert code == 0, text
        code, labels = outcome(capsys, *predict, name, *columns)
        assert code == 0 and len(labels.splitlines()) == 60, labels
        said[name] = (text, labels)
    assert said["last.csv"] == said["front.csv"] == said["counted.csv"]
    code, labels = outcome(capsys, *predict, "front.csv", "--feature-columns", "a,b")
    assert (code, labels) == (0, said["last.csv"][1])
    words = ("--validation", "front.csv", "--target-column", "label")
    assert outcome(capsys, *train, "--data", "front.csv", *words)[0] == 0
    assert outcome(capsys, "audit", "m.toml", "--data", "front.csv", "--target-column", "label")[0] == 0


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "counted": (("--data", "counted.csv"), "say which with --header yes"),
    "in front": (("--data", "front.csv"), "--target-column label, or --target-column b"),
    "nearest": (("--data", "front.csv", "--target-column", "lable"), "did you mean 'label'"),
    "feature": (("--data", "last.csv", "--feature-columns", "a,c"), "no column 'c'; it has a, b, label"),
    "no header": (("--data", "last.csv", "--header", "no"), "line 1, column 1"),
    "no word": (("--data", "last.csv", "--header", "on"), "expected yes or no, got 'on'"),
    "no table": (("--data", "sklearn:iris", "--target-column", "a"), "names columns of a table (.csv, .parquet"),
    "header of no table": (("--data", "sklearn:iris", "--header", "yes"), "first line of a .csv file"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_message(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, told = MISTAKES[name]
    code, text = outcome(capsys, "train", "m.toml", "--epochs", "1", *words)
    assert code == 2 and text.count("\n") == 1 and told in text, text


def test_a_bundle_reads_rows_as_they_are_meant(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(capsys, "train", "m.toml", "--data", "last.csv", "--params", "p.npz", "--quiet")[0] == 0
    assert outcome(capsys, "bundle", "m.toml", "--params", "p.npz", "-o", "m.pyz")[0] == 0
    assert zipfile.is_zipfile("m.pyz")

    def run(*words: str, rows: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "m.pyz", "predict", "--data", "-", *words]
        return subprocess.run(command, input=rows, capture_output=True, text=True, check=False)

    counted = run(rows="0,1\n2,-2\n")
    assert counted.returncode == 2 and "--header yes" in counted.stderr and "Traceback" not in counted.stderr
    assert len(run("--header", "no", rows="0,1\n2,-2\n").stdout.split()) == 2
    assert len(run("--header", "yes", rows="0,1\n2,-2\n").stdout.split()) == 1
    assert len(run(rows="a,b\n2,-2\n").stdout.split()) == 1
    assert run(rows="a,1\n2,-2\n").returncode == 2
    years = run(rows="1990,2000\n0.5,-2.5\n1.5,0.5\n")
    assert years.returncode == 2 and "--header yes" in years.stderr
    assert len(run("--header", "yes", rows="1990,2000\n0.5,-2.5\n1.5,0.5\n").stdout.split()) == 2


# --- Arrow


def test_the_columns_of_arrow_tables(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"label": Y, "a": [0.5, 0.25], "b": [1.5, 1.0], "__index_level_0__": [7, 8]}
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    block = Arrow(tmp_path / "t.parquet", target="label").read(0)
    np.testing.assert_array_equal(np.asarray(block.x), X)
    np.testing.assert_array_equal(np.asarray(block.y), Y)


def test_a_target_among_the_features_of_a_parquet_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"label": Y, "a": [0.5, 0.25]}), "t.parquet")
    words = ("--data", "t.parquet", "--target-column", "label", "--feature-columns", "a, label")
    code, text = outcome(capsys, "train", "m.toml", "--epochs", "1", *words)
    assert code == 2 and text.count("\n") == 1 and "both in --feature-columns and --target-column" in text
