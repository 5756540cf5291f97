"""Differences between the sides of an ablation: their intervals, what is set beside what, and how it is shown."""

import io

import pytest
from records import record
from rich.console import Console

from topfive.intervals import newcombe, paired, welch
from topfive.report.differences import differences
from topfive.report.table import render
from topfive.results import Score

# Student 1908, as in R's `sleep`: extra hours of sleep of ten patients under two drugs.
SLEEP = (
    (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0),
    (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4),
)


def test_pairs_have_students_interval_as_r_prints_it_for_students_data():
    """t.test(extra ~ group, paired = TRUE): -2.4598858 -0.7001142, group 1 less group 2."""
    assert paired(*SLEEP) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)


def test_samples_that_share_nothing_have_welchs_interval_as_r_prints_it():
    """t.test(extra ~ group): -3.3654832 0.2054832, group 1 less group 2."""
    assert welch(*SLEEP) == pytest.approx((-0.2054832, 3.3654832), abs=1e-7)


def test_differences_that_are_all_the_same_have_an_interval_of_no_width():
    assert paired([0.25, 0.5], [0.5, 0.75]) == (0.25, 0.25)
    assert welch([0.25, 0.25], [0.5, 0.5]) == (0.25, 0.25)


def test_newcombes_interval_is_that_of_his_first_example():
    """Newcombe 1998, Table II (a), method 10: 56/70 less 48/80 has 0.0524 to 0.3339."""
    assert newcombe((48, 56), (80, 70)) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_newcombes_interval_by_hand():
    """1 of 2 and 0 of 2, z = 1.959964, z^2 / n = 1.920729: Wilson's bounds are
    (0.5 + 0.960365 -+ 1.959964 sqrt(0.25 / 2 + 3.841459 / 16)) / 2.920729 = 0.094531, 0.905469 for 1 of 2,
    and 0, 1.920729 / 2.920729 = 0.657620 for 0 of 2. From 1 of 2 to 0 of 2 it is -0.5, less
    sqrt(0^2 + 0.405469^2), more sqrt(0.657620^2 + 0.405469^2) = 0.772573."""
    assert newcombe((1, 0), (2, 2)) == pytest.approx((-0.905469, 0.272573), abs=1e-6)


@pytest.mark.parametrize("function", [paired, welch])
def test_one_run_of_each_has_no_interval_over_seeds(function):
    with pytest.raises(ValueError, match="two"):
        function([0.1], [0.2])


ALEXNET = {"groups": 2, "lrn": True}


def run(side, errors, seed=0, top5=None, n=1000, **changes):
    """AlexNet, or what `changes` say, under one side of the ablation of normalization."""
    options = {**ALEXNET, "lrn": side == "with"}
    usual = {
        "model": "alexnet",
        "options": options,
        "recipe": "alexnet",
        "data": "imagenet",
        "ablation": f"alexnet_lrn/{side}",
        "seed": seed,
    }
    return record(Score("ten_crop_square", "val", n, errors, top5), **usual | changes)


def test_a_side_stands_against_the_first_beside_what_the_paper_prints():
    """40.7 and 18.2 % (Krizhevsky et al. 2012, Table 2), 42.03 and 19.36 (run 148 of the code's logs)."""
    with_lrn = run("with", 20350, top5=9100, n=50000)
    without = run("without", 21015, top5=9680, n=50000)
    top1, top5 = differences([without, with_lrn])
    assert (top1.ablation, top1.side, top1.against) == ("alexnet_lrn", "without", "with")
    assert (top1.quantity, top1.published) == ("top1_error", "+1.4")
    assert (top5.quantity, top5.published) == ("top5_error", "+1.2")
    assert top1.ours == pytest.approx(0.0133)
    assert top5.ours == pytest.approx(0.0116)
    # Wald's, at 50,000 images the same to four digits: 1.96 sqrt(0.407 * 0.593 / n + 0.4203 * 0.5797 / n).
    half = 1.959964 * ((0.407 * 0.593 + 0.4203 * 0.5797) / 50000) ** 0.5
    assert top1.interval == pytest.approx((0.0133 - half, 0.0133 + half), abs=1e-6)
    assert (top1.over, top1.seeds, top1.departures) == ("images", ((0,), (0,)), ())


def test_seeds_that_both_sides_ran_are_paired():
    """Differences 10, 20 and 30 of 1000: mean 0.02, deviation 0.01, t of 2 degrees 4.302653 at 97.5 %."""
    runs = [run("with", errors, seed) for seed, errors in enumerate((400, 420, 440))]
    runs += [run("without", errors, seed) for seed, errors in enumerate((410, 440, 470))]
    (top1,) = differences([*runs, run("without", 900, seed=7)])
    assert top1.ours == pytest.approx(0.02)
    half = 4.302653 * 0.01 / 3**0.5
    assert top1.interval == pytest.approx((0.02 - half, 0.02 + half), abs=1e-8)
    assert (top1.over, top1.seeds) == ("pairs", ((0, 1, 2), (0, 1, 2, 7)))


def test_seeds_of_which_not_two_are_shared_are_two_samples():
    """Of 0.40, 0.42 and 0.43, 0.45: mean difference 0.03, variances 0.0002, so 2 degrees and 0.0002 in sum."""
    runs = [
        run("with", 400, 0),
        run("with", 420, 1),
        run("without", 430, 1),
        run("without", 450, 2),
    ]
    (top1,) = differences(runs)
    half = 4.302653 * 0.0002**0.5
    assert top1.interval == pytest.approx((0.03 - half, 0.03 + half), abs=1e-8)
    assert top1.over == "seeds"


def test_of_one_seed_and_several_the_shared_one_is_compared():
    (top1,) = differences([run("with", 400, 0), run("with", 500, 1), run("without", 450, 1)])
    assert top1.ours == pytest.approx(-0.05)
    assert (top1.over, top1.seeds) == ("images", ((0, 1), (1,)))


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {**ALEXNET, "lrn": False, "groups": 1}},
        {"recipe": "alexnet_code"},
        {"data": "shapes"},
        {"departures": ("recipe.shorten=40 (paper: 1)",)},
        {"ablation": "alexnet_pooling/apart"},
        {"ablation": "alexnet_lnr/without"},
        {"ablation": "alexnet_lrn/neither"},
        {"ablation": None},
    ],
)
def test_only_sides_that_are_alike_in_all_else_are_set_beside_each_other(changes):
    assert differences([run("with", 400), run("without", 450)])
    assert differences([run("with", 400), run("without", 450, **changes)]) == []


def test_other_images_are_not_compared():
    assert differences([run("with", 400), run("without", 450, n=2000)]) == []


def test_a_later_run_of_a_seed_replaces_an_earlier_one():
    later = run("without", 470, finished="2026-11-20T14:00:00+00:00")
    (top1,) = differences([later, run("with", 400), run("without", 450)])
    assert top1.ours == pytest.approx(0.07)


def plain(side, errors, **changes):
    depth = {"residual": ("resnet18", "A"), "plain": ("plain18", None)}
    model, shortcut = depth[side]
    own = {"depth": 18, "stride_on": "1x1", "stem_pool": "ceil", "head": "global"}
    options = {**own, "shortcut": shortcut, **changes.pop("options", {})}
    usual = {
        "model": model,
        "options": options,
        "recipe": "resnet",
        "ablation": f"resnet18_residual/{side}",
    }
    return run("with", errors, **usual | changes)


def test_sides_may_be_networks_of_other_names_and_are_compared_in_what_is_not_their_own():
    (top1,) = differences([plain("residual", 279), plain("plain", 281)])
    assert (top1.side, top1.against, top1.published) == ("plain", "residual", "+0.06")
    assert top1.setting.model is None
    sliding = {"options": {"head": "sliding"}}
    assert differences([plain("residual", 279), plain("plain", 281, **sliding)]) == []
    assert (
        len(differences([plain("residual", 279, **sliding), plain("plain", 281, **sliding)])) == 1
    )


def test_a_network_that_the_command_line_chose_keeps_to_itself():
    def side(model, name):
        options = {"depth": int(model.removeprefix("resnet")), "shortcut": name}
        return run("with", 100, model=model, options=options, ablation=f"cifar_shortcut/{name}")

    runs = [side(model, name) for model in ("resnet20", "resnet56") for name in "CBA"]
    found = [(one.setting.model, one.side, one.against) for one in differences(runs)]
    assert found == [(m, side, "A") for m in ("resnet20", "resnet56") for side in "BC"]


def test_without_the_first_side_the_next_is_the_base_and_no_published_difference_is():
    runs = [run("with", 100, ablation=f"resnet34_shortcut/{name}") for name in "CB"]
    (top1,) = differences(runs)
    assert (top1.side, top1.against, top1.published) == ("C", "B", None)


def test_what_the_ablation_itself_departs_in_is_no_departure_of_it():
    """Taking color noise away departs from the recipe; the three steps, and what the recipe states, do too."""
    recipe = {"recipe": {"departures": ["biases at the rate of the weights"]}}
    shared = ("biases at the rate of the weights", "trainer.max_steps=3 (paper: null)")
    own = ("recipe.transforms=[] (paper: [{_target_: PCAColor}])",)
    runs = [
        run("with", 400, ablation="alexnet_color/with", departures=shared, config=recipe),
        run("with", 420, ablation="alexnet_color/without", departures=shared + own, config=recipe),
    ]
    (top1,) = differences(runs)
    assert top1.departures == shared
    assert top1.published == "> +1"


def test_a_choice_of_recipe_makes_none_of_the_departures_from_it():
    def side(name, *departures):
        return run("with", 100, ablation=f"nin_augmentation/{name}", departures=departures)

    shorter = "recipe.shorten=40 (paper: 1)"
    assert differences([side("without"), side("with", shorter)]) == []
    (top1,) = differences([side("without", shorter), side("with", shorter)])
    assert top1.departures == (shorter,)


def shown(*records, width=80):
    console = Console(file=io.StringIO(), width=width)
    render(records, [], console)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_ends_with_the_ablations_and_cuts_no_number(width):
    text = shown(run("with", 400, top5=200), run("without", 450, top5=200), width=width)
    assert "alexnet_lrn: without against with, alexnet, imagenet" in " ".join(text.split())
    rows = [line.split() for line in text.split("Ablations")[1].splitlines()]
    assert ["error", "published", "ours", "95%", "interval", "over", "seeds"] in rows
    (top1,) = (row for row in rows if row[:2] == ["top-1", "+1.4"])
    assert top1[2] == "+5.00"
    assert top1[-3:] == ["images", "1,", "1"]
    assert any(row[:3] == ["top-5", "+1.2", "+0.00"] for row in rows)
    assert "published in section 3.3" in text


def test_the_table_says_what_is_unverified_and_what_is_not_comparable():
    departures = ("trainer.max_steps=3 (paper: null)", "recipe.shorten=40 (paper: 1)")
    sides = {"average": {}, "fc": {}}
    text = shown(
        *(run("with", 100, ablation=f"nin_head/{side}", departures=departures) for side in sides)
    )
    text = " ".join(text.split())
    assert "published in Table 5, unverified: only that the row exists is confirmed" in text
    assert "not comparable: trainer.max_steps=3 (paper: null) and 1 more" in text


def test_without_two_sides_no_ablation_is_shown():
    assert "Ablations" not in shown(run("with", 400))
    assert "Ablations" not in shown(record())
