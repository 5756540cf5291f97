"""What a paper's file may not say, and how its rows are read."""

import pytest

from topfive.problems import Problem
from topfive.published import Catalogue, parse

HEAD = """
papers:
  p: {citation: A paper, year: 1998}
networks:
  net: {paper: p, recipes: [r]}
"""
ROW = "{network: net, top1_error: '1.0'}"


def table(row: str = ROW, block: str = "where: T1, data: d, split: s, protocol: one_view") -> str:
    return f"{HEAD}\ntables:\n- {{paper: p, {block}, rows: [{row}]}}"


def size(row: str) -> str:
    return f"{HEAD}\nsizes:\n- {{paper: p, where: T1, rows: [{row}]}}"


def read(text: str) -> Catalogue:
    return parse({"p.yaml": text})


SECOND = """
papers: {q: {citation: Another paper, year: 1990}}
tables:
- {paper: q, where: T9, data: d, split: s, protocol: one_view, rows: [{network: net, %s}]}
"""


def test_a_row_overrules_its_block() -> None:
    row = "{network: net, split: val, options: {width: 2}, top1_error: '1.0', top5_error: '0.50'}"
    first, second = read(table(row)).entries
    assert (first.split, first.options, first.recipes) == ("val", {"width": 2}, ("r",))
    assert (first.quantity, first.value) == ("top1_error", "1.0")
    assert (second.quantity, second.value) == ("top5_error", "0.50")
    assert second.paper.year == 1998


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table("{network: net, top1_error: 1.0}"), "value 1.0, expected a quoted number"),
        (table("{network: net, top1_error: '1,0'}"), "value '1,0', expected a quoted number"),
        (table("{network: net, top1_eror: '1.0'}"), "unknown key top1_eror"),
        (table("{network: net}"), "expected one quantity"),
        (table("{network: net, top1_error: '1.0', statistic: worst}"), "statistic 'worst'"),
        (table("{network: net, top1_error: '1.0', role: ours}"), "'ours' is unknown"),
        (table("{network: nett, top1_error: '1.0'}"), "'nett' is not under `networks`"),
        (
            table("{network: nets, networks: 3, averages: {net: 2}, top1_error: '1.0'}"),
            "averages {'net': 2}, expected",
        ),
        (
            table("{network: nets, networks: 2, averages: {other: 2}, top1_error: '1.0'}"),
            "averages {'other': 2}, expected",
        ),
        (
            table("{network: net, top1_error: '1.0', top5_error: '.5', std: '0.1'}"),
            "a std belongs to one quantity",
        ),
        (table("{network: net, top1_error: '1.0', top1_error: '2.0'}"), "top1_error stands twice"),
        (table(f"{ROW}, {ROW}"), "a second value for net"),
        (table(f"{ROW}, {{network: net, top1_error: '2.0', where: T2}}"), "a second value for net"),
        (table(block="where: T1, data: d, split: s"), "expected protocol"),
        (
            table(block="where: T1, data: d, split: s, protocol: eleven_crop"),
            "'eleven_crop' is unknown",
        ),
        (table().replace("- {paper: p", "- {paper: q"), "paper 'q' is not cited"),
        (table() + "\nextra: 1", "unknown key extra"),
        (table().replace(", year: 1998", ""), "paper 'p' has no year"),
        (table().replace("citation: A paper, ", ""), "paper p: expected citation"),
        (table().replace(", recipes: [r]", ""), "network net: expected recipes"),
        ("tables: []", "no `papers`"),
        (size("{network: net, parameters: 60M, layers: '8', unmet: so}"), "unmet belongs to one"),
        (size("{network: net}"), "expected one quantity"),
        (size("{network: net, layers: 22}"), "value 22, expected a quoted count"),
        (size("{network: net, layers: 60 million}"), "value '60 million', expected a quoted"),
        (size("{network: other, layers: '22'}"), "'other' is not under `networks`"),
        (
            size("{network: net, layers: '8'}, {network: net, layers: '9'}"),
            "a second value for net",
        ),
    ],
)
def test_a_mistake_is_refused_with_the_file_and_the_place(text: str, message: str) -> None:
    with pytest.raises(Problem, match=f"^p.yaml.*{message}"):
        read(text)


def test_a_file_may_name_the_papers_and_networks_of_another() -> None:
    read_together = parse(
        {"p.yaml": table(), "q.yaml": SECOND % "role: restated, top1_error: '1.04'"}
    )
    oldest, newest = read_together.entries
    assert [oldest.paper.key, newest.paper.key] == ["q", "p"]  # oldest first
    assert oldest.home == newest.home == read_together.networks["net"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            SECOND % "top1_error: '2.0'",
            "p.yaml, p T1, .*a second value for net.*first is in q.yaml",
        ),
        (HEAD, "q.yaml: 'p' stands in another file too"),
        (HEAD.replace("p: {cit", "q: {cit"), "q.yaml: 'net' stands in another file too"),
    ],
)
def test_two_files_may_not_say_the_same(other: str, message: str) -> None:
    with pytest.raises(Problem, match=message):
        parse({"p.yaml": table(), "q.yaml": other})


def test_two_statistics_or_a_restated_value_are_no_twins() -> None:
    rows = ", ".join(
        [
            ROW,
            "{network: net, top1_error: '1.1', statistic: mean of 5}",
            "{network: net, top1_error: '1.04', role: restated}",
        ]
    )
    assert len(read(table(rows)).entries) == 3


def test_an_average_says_of_how_many_of_which_networks_it_is() -> None:
    row = "{network: nets, networks: 2, averages: {net: 2}, top1_error: '1.0'}"
    (mixed,) = read(table(row)).entries
    (five,) = read(table("{network: net, networks: 5, top1_error: '1.0'}")).entries
    (other,) = read(table("{network: others, role: context, top1_error: '1.0'}")).entries
    assert (mixed.members, five.members, other.members) == ({"net": 2}, {"net": 5}, {})


def test_a_row_of_sizes_may_give_several() -> None:
    row = "{network: net, options: {width: 2}, parameters: 60M, layers: '8'}"
    first, second = read(size(row)).sizes
    assert (first.quantity, first.value, first.options) == ("parameters", "60M", {"width": 2})
    assert (second.quantity, second.value, second.where) == ("layers", "8", "T1")
    assert first.unmet is None
