"""The catalogue against a second reading: the tables of ../shared/papers, by a parser that never saw it.

Where that folder is absent, tests/published_numbers.csv stands for it: what the parser read from it.
"""

import re
from pathlib import Path

import pytest
from papers_readings import READERS
from papers_tables import Number, extract, load

from topfive import published
from topfive.published import Published

HERE = Path(__file__).parent
PAPERS = HERE.parents[1] / "shared" / "papers"
NUMBERS = load(HERE / "published_numbers.csv")
ENTRIES = published.load()

# What is printed there and is no error rate: (page, value).
OTHER = {
    *(("alexnet.md", value) for value in ("1.8", "1.5")),  # one crop against ten, in points
    ("alexnet.md", "3.3"),  # a section
    *(("allcnn.md", value) for value in ("90.25", "0.01")),  # an accuracy, a rate
    *(
        ("bn_inception.md", value) for value in ("72.2", "72.7", "73.0", "74.8", "69.8")
    ),  # accuracies
    ("bn_inception.md", "0.1"),  # an accuracy by chance
    *(("caffenet.md", value) for value in ("57.4", "80.4", "57.1", "80.2")),  # accuracies
    *(("caffenet.md", value) for value in ("57.412", "57.258", "1.82328", "1.83948")),
    *(("efficientnet.md", value) for value in ("76.3", "93.2", "77.1", "93.3", "77.692", "93.532")),
    *(("efficientnet.md", value) for value in ("76.0", "93.0", "77.8", "93.8")),
    ("eval_protocols.md", "6.4"),  # a section
    *(("googlenet.md", value) for value in ("3.40", "7.7")),  # a difference, a section
    *(("nin.md", value) for value in ("4.2", "59.36", "89.6")),  # a section, accuracies
    ("preact_resnet.md", "0.5"),  # a factor, a rate of dropout
    *(("resnet.md", value) for value in ("0.27", "0.46", "0.66", "2.3")),  # sizes
    *(("secondary_numbers.md", value) for value in ("+1.6", "0.9", "0.1")),
    *(
        ("secondary_numbers.md", value) for value in ("1.4", "2.2", "2.1", "0.3")
    ),  # what crops are worth
    *(
        ("secondary_numbers.md", value) for value in ("92.64", "93.02", "95.67", "95.11", "4.5")
    ),  # accuracies
}


def test_the_extract_is_what_the_parser_reads_in_the_folder() -> None:
    if not PAPERS.is_dir():
        pytest.skip(f"no {PAPERS}: the extract cannot be compared with it")
    assert extract(PAPERS) == NUMBERS


def test_what_is_left_out_is_there_to_be_left_out() -> None:
    assert {(one.file, one.value) for one in NUMBERS} >= OTHER


@pytest.mark.parametrize("page", sorted({one.file for one in NUMBERS}))
def test_every_error_rate_of_a_page_is_in_the_catalogue(page: str) -> None:
    known = {text for one in ENTRIES for text in (one.value.lstrip("<> "), one.std or "")}
    known |= {text for one in ENTRIES for text in _longer(one)}
    missing = [
        one
        for one in NUMBERS
        if one.file == page and (page, one.value) not in OTHER and _rate(one.value) not in known
    ]
    assert missing == []


def _rate(value: str) -> str:
    """In %; the contest's pages print fractions of five digits."""
    return f"{100 * float(value):.3f}" if re.fullmatch(r"0\.\d{5}", value) else value


def _longer(one: Published) -> set[str]:
    """25.8 of 25.770: a value that is quoted with fewer digits."""
    digits = len(one.value.partition(".")[2])
    return {f"{one.number:.{fewer}f}" for fewer in range(1, digits)}


READ = {
    "alexnet.md": 8,  # Table 2
    "allcnn.md": 12,  # Table 3
    "bn_inception.md": 7,  # Fig. 4
    "eval_protocols.md": 10,  # section 9
    "googlenet.md": 6,  # Table 3
    "nin.md": 5,  # Tables 1 to 4
    "preact_resnet.md": 30,  # Tables 2 to 4
    "resnet.md": 44,  # Tables 2 to 4 and 6, readme
    "vgg.md": 44,  # Tables 3 and 4
    "zfnet.md": 49,  # Tables 2 and 3
}


@pytest.mark.parametrize("page", sorted(READERS))
def test_the_numbers_of_a_table_have_the_network_protocol_and_statistic_of_the_catalogue(
    page: str,
) -> None:
    read = [(one, READERS[page](one)) for one in NUMBERS if one.file == page]
    facts = [(one, given) for one, given in read if given is not None]
    assert len(facts) == READ[page]
    assert [(one, given) for one, given in facts if not _entries(one, given)] == []


def _entries(number: Number, facts: dict[str, object]) -> list[Published]:
    return [
        one
        for one in ENTRIES
        if one.value == number.value and all(getattr(one, k) == v for k, v in facts.items())
    ]


# Without a decimal point, or outside the sections that are parsed: checked by hand against the pages.
BY_HAND = {
    ("alexnet", "13"),  # section 6 of alexnet.md: 13 to 11 %
    ("alexnet", "11"),
    ("preact_resnet", "> 20"),  # "fail" is above 20 %
    ("resnet", "> 60"),  # plain-110 in Fig. 6
    ("lenet5", "0.82"),  # 82 of 10,000
}


def test_no_target_has_a_value_that_no_page_prints() -> None:
    printed = {one.value for one in NUMBERS} | {_rate(one.value) for one in NUMBERS}
    printed |= {f"{100 - float(one.value):.{len(one.value.partition('.')[2])}f}" for one in NUMBERS
                if re.fullmatch(r"\d{2}\.\d+", one.value)}  # fmt: skip
    invented = [
        (one.paper.key, one.network, one.value)
        for one in ENTRIES
        if one.role != "context" and not one.quantity.endswith("_change")
        if one.value.lstrip("<> ") not in printed and (one.paper.key, one.value) not in BY_HAND
    ]
    assert invented == []


def test_what_the_pages_call_unverified_is_marked() -> None:
    marked = {(one.paper.key, one.value) for one in ENTRIES if not one.verified}
    assert {
        ("allcnn", "4.41"),
        ("allcnn", "33.71"),
        ("nin", "11.59"),
        ("nin", "10.88"),
        ("ilsvrc2016", "2.991"),
        ("ilsvrc2017", "2.251"),
        ("efficientnet", "22.9"),
    } <= marked
