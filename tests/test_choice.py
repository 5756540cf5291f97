"""What a sweep tried on the minival: the choice, its file, and what a run may claim by it."""

import copy
import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from topfive import choice
from topfive.choice import Candidate, Choice
from topfive.config import compose
from topfive.departures import departures
from topfive.problems import Problem
from topfive.report.selection import said, sentence, show

RATE = "recipe.schedule.rate"


@cache
def _composed(*overrides: str) -> dict[str, Any]:
    return compose(overrides)


def composed(*overrides: str) -> dict[str, Any]:
    return copy.deepcopy(_composed(*overrides))


def tried(*candidates: Candidate, n: int = 200) -> Choice:
    return Choice(RATE, "0123456789ab", "one_view", n, candidates)


def test_the_lowest_mean_over_the_seeds_is_chosen_and_not_the_lowest_single_run() -> None:
    # Means by hand: 30, 25 and 27 of 200; the lowest single run is the first's 20.
    lucky = Candidate(0.25, (0, 1), (20, 40))
    best = Candidate(0.1, (0, 1), (24, 26))
    third = Candidate(0.05, (0, 1), (27, 27))
    assert tried(lucky, best, third).chosen is best


def test_of_equals_the_first_listed_is_chosen() -> None:
    high, low = Candidate(0.25, (0, 1), (10, 30)), Candidate(0.05, (0, 1), (20, 20))
    assert tried(high, low).chosen is high
    assert tried(low, high).chosen is low


def test_a_candidate_of_which_one_seed_diverged_is_not_chosen() -> None:
    diverged, finished = Candidate(0.25, (0, 1), (1, None)), Candidate(0.1, (0, 1), (90, 90))
    assert tried(diverged, finished).chosen is finished


def test_where_all_diverged_nothing_is_chosen() -> None:
    with pytest.raises(Problem, match=r"all 2 candidates of recipe\.schedule\.rate diverged"):
        _ = tried(Candidate(0.25, (0,), (None,)), Candidate(0.1, (0,), (None,))).chosen


def test_the_table_shows_every_seed_the_mean_and_what_diverged() -> None:
    console = Console(width=80, file=io.StringIO(), color_system=None)
    made = tried(Candidate(0.25, (3, 4), (1, None)), Candidate(0.1, (3, 4), (24, 27)))
    show(made, "model=allcnn_c", console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "% of 200 images of the minival" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert ["0.25", "0.50", "diverged", "diverged"] in rows
    assert ["0.1", "12.00", "13.50", "12.75"] in rows
    assert "1 of 2 diverged and cannot be chosen" in printed
    assert "chosen: schedule.rate=0.1" in printed


def test_a_dictionary_is_named_by_its_class_and_arguments() -> None:
    gaussian = {"_target_": "topfive.initializers.gaussian", "std": 0.01}
    assert said("recipe.initialization", gaussian) == "initialization=gaussian(std=0.01)"
    assert (
        said("recipe.initialization", {"_target_": "topfive.initializers.he_normal"})
        == "initialization=he_normal"
    )


def selected(folder: Path, *values: float, chosen: float, **changes: Any) -> dict[str, Any]:
    """All-CNN-C under the rate `chosen`, as a sweep over `values` calls it."""
    config = composed("model=allcnn_c", f"{RATE}={chosen}")
    errors = [Candidate(value, (0,), (10 if value == chosen else 20,)) for value in values]
    made = Choice(RATE, choice.group(config, RATE), "one_view", 5000, tuple(errors))
    choice.write(made, folder / "selection.json")
    return {**config, "selection": str(folder / "selection.json"), **changes}


def test_a_choice_reads_back_and_says_all_that_was_tried(tmp_path: Path) -> None:
    content = choice.of(selected(tmp_path, 0.25, 0.1, chosen=0.1))
    assert content == json.loads((tmp_path / "selection.json").read_text())
    assert (content["chosen"], content["split"], content["n"]) == (0.1, "minival", 5000)
    assert content["candidates"] == [
        {"value": 0.25, "seeds": [0], "top1_errors": [20]},
        {"value": 0.1, "seeds": [0], "top1_errors": [10]},
    ]
    assert sentence(content) == (  # 20 and 10 of 5,000
        "0.1 of 0.25 (0.40), 0.1 (0.20): top-1 error on 5,000 images of the minival, one_view"
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "selection.json"]


def test_a_run_without_a_selection_chose_nothing() -> None:
    assert choice.of(composed("model=allcnn_c")) == {}


def test_a_choice_does_not_vouch_for_another_value_or_another_run(tmp_path: Path) -> None:
    config = selected(tmp_path, 0.25, 0.1, chosen=0.1)
    choice.of({**config, "seed": 7})  # the seeds share the choice
    config["recipe"]["schedule"]["rate"] = 0.25
    with pytest.raises(Problem, match=r"chose recipe\.schedule\.rate=0\.1, not 0\.25"):
        choice.of(config)
    config["recipe"]["weight_decay"] = 0.5
    with pytest.raises(Problem, match="chosen for another run than this one"):
        choice.of(config)


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_file_that_is_no_choice_is_a_problem(tmp_path: Path, content: str) -> None:
    (tmp_path / "selection.json").write_text(content)
    config = {**composed("model=allcnn_c"), "selection": str(tmp_path / "selection.json")}
    with pytest.raises(Problem, match=r"is no file of a sweep's choice .*repeat the sweep"):
        choice.of(config)


def test_candidates_and_the_final_run_are_one_group_and_different_runs() -> None:
    from topfive.identity import identity

    candidate = composed("model=allcnn_c", "sweep=lr", f"{RATE}=0.25", "seed=1")
    final = composed("model=allcnn_c", f"{RATE}=0.1")
    other = composed("model=allcnn_a", f"{RATE}=0.1")
    groups = [choice.group(config, RATE) for config in (candidate, final, other)]
    assert groups[0] == groups[1] != groups[2]
    same = composed("model=allcnn_c", f"{RATE}=0.25", "seed=1")
    assert identity(candidate) != identity(same)


def test_the_paper_took_the_best_of_four_rates_so_a_sweep_over_them_departs_from_nothing(
    tmp_path: Path,
) -> None:
    # Springenberg et al. 2014, section 3: one of these four for each network, by the best result.
    config = selected(tmp_path, 0.25, 0.1, 0.05, 0.01, chosen=0.1)
    assert departures(config, choice.of(config)) == []


@pytest.mark.parametrize("values", [(0.1, 0.05), (0.25, 0.1, 0.05, 0.01, 0.001)])
def test_a_rate_chosen_among_others_departs(tmp_path: Path, values: tuple[float, ...]) -> None:
    config = selected(tmp_path, *values, chosen=0.1)
    assert departures(config, choice.of(config)) == [
        f"{RATE}=0.1 (paper: the best of 0.25, 0.1, 0.05, 0.01)"
    ]


def test_a_rate_taken_by_hand_departs_even_if_the_paper_tried_it() -> None:
    assert departures(composed("model=allcnn_c", f"{RATE}=0.1")) == [
        f"{RATE}=0.1 (paper: the best of 0.25, 0.1, 0.05, 0.01)"
    ]


def test_a_candidate_says_that_it_is_one() -> None:
    assert departures(composed("model=allcnn_c", "data.candidate=true")) == [
        "data.candidate=True (paper: null)"
    ]
