"""The charts of the report: what is drawn is the data, can be read on any ground, and is the same each time."""

import io
import re
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from records import record

from topfive.ablations import Expected
from topfive.inspect.overview import counts
from topfive.intervals import Interval
from topfive.problems import Problem
from topfive.published import load
from topfive.report import charts
from topfive.report.charts import DARK, LIGHT, Chart, Look, contest
from topfive.report.charts.ablations import ablations
from topfive.report.charts.agreement import agreement
from topfive.report.charts.chart import in_dark, svg
from topfive.report.charts.chosen import Curve, chosen, read
from topfive.report.charts.contest import Mark
from topfive.report.charts.cost import SETS, cost
from topfive.report.charts.costs import COSTS
from topfive.report.charts.curves import curves
from topfive.report.charts.history import ALONE, HERE, history
from topfive.report.charts.scales import ticks, written
from topfive.report.differences import Difference, Setting
from topfive.report.lines import Line
from topfive.results import Record

PUBLISHED = load()
WIDE = Look(LIGHT, False)
LOOKS = [Look(palette, narrow) for palette in (LIGHT, DARK) for narrow in (False, True)]


def line(network: str, protocol: str, ours: float, **changes: Any) -> Line:
    """A network's published number on its paper's images, with `ours` in percent beside it."""
    facts = {"quantity": "top5_error", "data": "imagenet", "split": "val"}
    facts |= {key: changes.pop(key) for key in list(changes) if key in facts}
    facts |= {"network": network, "protocol": protocol, "networks": 1, "role": "target"}
    found = [
        one for one in PUBLISHED if all(getattr(one, key) == value for key, value in facts.items())
    ]
    one = next(one for one in found if not one.options)
    fields: dict[str, Any] = {
        "published": one,
        "verdict": "reproduced",
        "reason": "",
        "ours": ours / 100,
        "interval": Interval(ours / 100 - 0.002, ours / 100 + 0.002),
        "difference": ours - one.number,
        "n": 50_000,
        "seeds": (0,),
        "departures": (),
        "runs": (Path("outputs/run"),),
        "command": "python train.py",
    }
    return Line(**fields | changes)


ALEXNET = line("alexnet", "ten_crop_square", 18.4)
RESNET50 = line("resnet50", "one_crop", 7.6, verdict="better")
ZFNET = line("zfnet_big", "ten_crop_square", 40.0, verdict="not comparable", difference=None)


def difference(number: int = 0, **changes: Any) -> Difference:
    fields: dict[str, Any] = {
        "ablation": f"ablation{number}",
        "side": "without",
        "against": "with",
        "setting": Setting("alexnet", (), None, "imagenet", (), "ten_crop_square", "val", 50_000),
        "quantity": "top5_error",
        "ours": 0.01,
        "interval": Interval(0.005, 0.015),
        "over": "images",
        "seeds": ((0,), (0,)),
        "expected": Expected(where="section 3.3", top5_error="+1.2"),
        "departures": (),
    }
    return Difference(**fields | changes)


def marks(axes: Axes, marker: str) -> list[tuple[float, float]]:
    """What is drawn with that marker."""
    found = [one for one in axes.lines if one.get_marker() == marker]
    return [(float(x), float(y)) for one in found for x, y in one.get_xydata()]  # type: ignore[union-attr]


def made(chart: Chart | None) -> Chart:
    assert chart is not None
    return chart


# ---- what is shown


def test_the_winners_are_those_of_the_contests_results_pages():
    best = contest.winners(contest.entries(PUBLISHED))
    assert [(mark.year, mark.error) for mark in best] == [
        (2010, 28.191), (2011, 25.770), (2012, 16.422), (2013, 11.743), (2014, 6.656),
        (2015, 3.57), (2016, 2.991), (2017, 2.251),
    ]  # fmt: skip
    assert contest.human(PUBLISHED) == 5.1
    assert sorted(contest.after(PUBLISHED)) == [
        Mark("BN-Inception", 2015, 4.82),
        Mark("PReLU-net", 2015, 4.94),
    ]


def test_what_the_history_leaves_out_by_name_is_in_the_catalogue():
    names = {one.network for one in PUBLISHED}
    assert names >= {*contest.OUTSIDE, *contest.AFTER, *contest.COPIES, *contest.TITLES}


def test_history_keeps_the_test_server_apart_from_the_validation_set():
    (axes,) = made(history([], PUBLISHED, WIDE)).figure.axes
    joined = next(
        one for one in axes.lines if one.get_marker() == "o" and one.get_linestyle() == "-"
    )
    assert joined.get_xydata()[:3].tolist() == [[2010, 28.191], [2011, 25.77], [2012, 16.422]]
    validation = marks(axes, "^")
    assert (2012 + ALONE, 18.1) in validation  # the lowest of AlexNet alone: the log of run 148-
    assert (2015 + ALONE, 4.49) in validation  # ResNet-152, Table 4
    assert not {y for _, y in validation} & {y for _, y in marks(axes, "o")}
    (person,) = [one for one in axes.lines if set(one.get_ydata()) == {5.1}]
    assert person.get_linestyle() == "--"


def test_history_has_the_lowest_of_ours_per_paper_where_it_is_comparable():
    higher = line("resnet50", "ten_crop", 7.9)
    (axes,) = made(history([ALEXNET, RESNET50, ZFNET, higher], PUBLISHED, WIDE)).figure.axes
    assert marks(axes, "D") == [
        (2012 + HERE, pytest.approx(18.4)),
        (2015 + HERE, pytest.approx(7.6)),
    ]
    bars = [one.get_segments()[0].tolist() for one in axes.collections]
    assert bars[0] == [[2012 + HERE, pytest.approx(18.2)], [2012 + HERE, pytest.approx(18.6)]]


def test_agreement_is_solid_only_where_it_can_be_compared():
    (axes,) = made(agreement([ALEXNET, RESNET50, ZFNET], WIDE)).figure.axes
    solid = {one.get_label(): one for one in axes.lines if one.get_marker() not in ("None", "")}
    assert solid["reproduced"].get_xydata().tolist() == [[18.2, pytest.approx(18.4)]]
    assert solid["better"].get_xydata().tolist() == [[7.8, pytest.approx(7.6)]]
    assert solid["not comparable"].get_xydata().tolist() == [[16.0, pytest.approx(40.0)]]
    faces = {name: to_hex(one.get_markerfacecolor()) for name, one in solid.items()}
    assert faces["not comparable"] == LIGHT.ground != faces["reproduced"]
    identity = next(one for one in axes.lines if one.get_label() == "as published")
    assert identity.get_xdata().tolist() == identity.get_ydata().tolist()


def test_agreement_shows_no_errors_at_all_at_the_edge_of_its_logarithmic_axes():
    nothing = line("alexnet", "ten_crop_square", 0.0, interval=Interval(0.0, 0.001))
    (axes,) = made(agreement([nothing], WIDE)).figure.axes
    assert marks(axes, "o") == [(18.2, 0.05)]


def test_costs_are_drawn_at_the_sizes_of_the_networks():
    operations, parameters = made(cost([RESNET50, ZFNET], PUBLISHED, "imagenet", WIDE)).figure.axes
    (mark,) = [one for one in operations.lines if to_hex(one.get_color()) == LIGHT.ours]
    (bars,) = [one for one in operations.collections if to_hex(one.get_color()) == LIGHT.ours]
    ((low, high),) = bars.get_segments()
    assert mark.get_xydata().tolist() == [[3_857_973_248, pytest.approx(7.6)]]
    assert low.tolist() == [3_857_973_248, pytest.approx(7.4)]
    assert high.tolist() == [3_857_973_248, pytest.approx(7.8)]
    # 60,965,224 parameters, and 18.1 % on ten crops
    assert (60_965_224, 18.1) in marks(parameters, "s")
    assert (724_406_816, 18.1) in marks(operations, "s")


def test_a_written_size_is_the_counted_one():
    found = counts("resnet20")
    assert COSTS["resnet20"] == (found.parameters, found.multiply_adds)


@pytest.mark.slow
def test_every_written_size_is_the_counted_one():
    for network, written_size in COSTS.items():
        found = counts(network)
        assert written_size == (found.parameters, found.multiply_adds), network


def test_every_network_of_a_cost_chart_has_its_size_written_down():
    from topfive.inspect.families import published_points

    for data, (quantity, _, _) in SETS.items():
        points = published_points(PUBLISHED, data, quantity)
        assert points
        assert {point.network for point in points} <= set(COSTS)


def test_curves_are_thin_as_trained_on_and_bold_held_out():
    one = Curve("resnet20", [(50, 80.0), (100, 30.0)], [(75, 40.0), (100, 35.0)])
    (axes,) = made(curves("cifar10", [one], WIDE)).figure.axes
    thin, bold = axes.lines
    assert thin.get_xydata().tolist() == [[50, 80], [100, 30]]
    assert bold.get_xydata().tolist() == [[75, 40], [100, 35]]
    assert bold.get_linewidth() > 2 * thin.get_linewidth()
    assert to_hex(thin.get_color()) == to_hex(bold.get_color())
    assert axes.get_ylim() == (0, pytest.approx(84.0))  # 1.05 times 80, less than three times 35


def test_a_long_fall_is_cut_at_three_times_the_last_error():
    one = Curve("lenet5", [(50, 47.5), (100, 0.7)], [(100, 1.1)])
    (axes,) = made(curves("mnist", [one], WIDE)).figure.axes
    assert axes.get_ylim()[1] == pytest.approx(3.3)


def test_ablations_stand_beside_what_the_paper_prints():
    some = [
        difference(0, ours=-0.002, interval=Interval(-0.01, 0.006)),
        difference(1, departures=("recipe.shorten=40",)),
        difference(2, expected=Expected(where="Fig. 6", top5_error="> +13.39")),
        difference(3, expected=None),
    ]
    (axes,) = made(ablations(some, WIDE)).figure.axes
    # the one that no paper prints comes last
    assert marks(axes, "o") == [(pytest.approx(-0.2), 0), (1, 1), (1, 2), (1, 3)]
    assert marks(axes, "D") == [(1.2, 0), (1.2, 1)]
    assert marks(axes, ">") == [(13.39, 2)]
    faces = [to_hex(one.get_markerfacecolor()) for one in axes.lines if one.get_marker() == "o"]
    assert faces == [LIGHT.ours, LIGHT.ground, LIGHT.ours, LIGHT.ours]
    bar = next(one for one in axes.lines if one.get_linewidth() == 1.8)
    assert list(bar.get_xdata()) == pytest.approx([-1.0, 0.6])
    assert list(bar.get_ydata()) == [0, 0]


# ---- which runs


def run(folder: Path, curve: str = "50,train,0.5\n", **changes: Any) -> Record:
    folder.mkdir(parents=True)
    (folder / "curve.csv").write_text(f"step,split,top1_error\n{curve}")
    return record(path=folder / "result.json", **changes)


def test_of_runs_that_differ_in_their_seed_the_last_is_shown_and_six_of_a_data_set(tmp_path):
    early = run(tmp_path / "early", seed=1, finished="2026-11-20T13:00:00+00:00")
    late = run(tmp_path / "late", seed=0, finished="2026-11-21T13:00:00+00:00")
    others = [
        run(tmp_path / str(k), model=f"resnet{k}", departures=("x",) * k) for k in range(1, 8)
    ]
    found = chosen(
        [late, *others, early, record(path=tmp_path / "none" / "result.json", model="a")]
    )
    assert list(found) == ["cifar10"]
    assert [one.model for one in found["cifar10"]] == [
        *(f"resnet{k}" for k in range(1, 3)), "resnet20", *(f"resnet{k}" for k in range(3, 6)),
    ]  # fmt: skip
    assert late in found["cifar10"]


def test_a_curve_is_read_in_percent_with_the_reported_images_or_else_the_minival(tmp_path):
    both = "50,train,0.5\n60,minival,0.75\n60,reported,0.25\n70,train,\n80,tr"
    first = run(tmp_path / "a", both, model="a")
    second = run(tmp_path / "b", "60,minival,0.75\n", model="b")
    wrong = run(tmp_path / "c", "60,minival,0.7\nsix,minival,0.6\n", model="c")
    assert read([first, second, wrong]) == [
        Curve("a", [(50, 50.0)], [(60, 25.0)]),
        Curve("b", [], [(60, 75.0)]),
    ]


def test_runs_of_one_network_are_named_by_what_differs(tmp_path):
    long = run(tmp_path / "a", epochs=41.0)
    short = run(tmp_path / "b", epochs=2.56)
    other = run(tmp_path / "c", model="plain20", epochs=2.56)
    names = [one.name for one in read([long, short, other])]
    assert names == ["resnet20, 41 epochs", "resnet20, 2.56 epochs", "plain20"]


# ---- whether it can be read


def luminance(color: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_letters_and_marks_stand_out_from_the_ground(palette):
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    for color in (palette.text, palette.muted, *palette.series):
        assert contrast(color, palette.ground) >= 4.5, color
    every = (palette.ground, palette.text, palette.muted, palette.grid, *palette.series)
    assert len(set(every)) == len(every)  # else the dark variant could not be told


@cache
def samples(look: Look) -> list[Chart]:
    """Each chart with data of this repository and some made up."""
    ours = [
        ALEXNET,
        RESNET50,
        ZFNET,
        line("vgg19", "dense_384", 8.1),
        line("googlenet", "crops144", 8.0),
    ]
    steps = range(50, 1001, 50)
    some = [
        Curve(f"network{k}", [(s, 90 - k - s / 20) for s in steps], [(400, 65 - k), (800, 45 - k)])
        for k in range(6)
    ]
    found = [
        history(ours, PUBLISHED, look),
        agreement(ours, look),
        cost(ours, PUBLISHED, "imagenet", look),
        cost([], PUBLISHED, "cifar10", look),
        curves("cifar10", some, look),
        ablations([difference(k) for k in range(12)], look),
    ]
    return [made(one) for one in found]


def words(figure: Figure) -> list[Text]:
    """All that is written: of an axis, the ticks within its limits."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        found += [*axes.texts, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            ticks = axis.get_major_ticks()
            found += [
                one.label1
                for one in ticks
                if low <= one.get_loc() <= high and one.label1.get_visible()
            ]
    return [text for text in found if text.get_text()]


@pytest.mark.parametrize("look", LOOKS[:2], ids=lambda look: look.name)
def test_no_word_lies_on_another_or_outside_the_chart(look):
    for chart in samples(look):
        figure = chart.figure
        figure.canvas.draw()
        boxes = [(one.get_text(), Text.get_window_extent(one)) for one in words(figure)]
        assert len(boxes) > 10
        width, height = figure.bbox.width, figure.bbox.height
        for number, (name, box) in enumerate(boxes):
            inside = box.x0 > -1 and box.x1 < width + 1 and box.y0 > -1 and box.y1 < height + 1
            assert inside, (chart.name, name)
            for other, taken in boxes[:number]:
                assert not box.padded(-1).overlaps(taken.padded(-1)), (chart.name, name, other)


@pytest.mark.parametrize("look", LOOKS[:2], ids=lambda look: look.name)
def test_no_letter_is_smaller_than_ten_pixels(look):
    for chart in samples(look):
        text = svg(chart, look)
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", text)]
        assert len(sizes) > 10
        assert min(sizes) >= 10, chart.name
        assert f'width="{358 if look.narrow else 760}"' in text


# ---- as SVG


@cache
def drawn(look: Look) -> str:
    return svg(made(history([ALEXNET], PUBLISHED, look)), look)


def test_an_svg_says_what_it_shows_to_who_cannot_see_it():
    root = ElementTree.fromstring(drawn(WIDE))
    space = "{http://www.w3.org/2000/svg}"
    title, description = root.find(f"{space}title"), root.find(f"{space}desc")
    assert title is not None
    assert description is not None
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
    assert title.text == "Top-5 error of ImageNet classification, 2010 to 2017"
    assert "2012 AlexNet 16.4" in (description.text or "")
    assert "Measured here on the validation set, best of each paper: 2012 alexnet 18.4." in (
        description.text or ""
    )
    words = [one.text for one in root.iter(f"{space}text")]
    assert "NEC-UIUC 28.2" in words  # letters, not outlines
    assert root.attrib["font-family"].endswith("sans-serif")
    assert not any("font-family" in one.attrib.get("style", "") for one in root.iter())


def test_the_same_data_are_the_same_svg():
    assert drawn(WIDE) == drawn.__wrapped__(WIDE)
    assert not re.search(r"<dc:date|Matplotlib|<style|/tmp|/home", drawn(WIDE))


def test_no_id_is_in_two_charts_and_every_one_that_is_used_is_there():
    texts = [drawn(look) for look in LOOKS]
    texts.append(svg(made(agreement([ALEXNET], WIDE)), WIDE))
    every = [name for text in texts for name in re.findall(r'\bid="([^"]+)"', text)]
    assert len(every) == len(set(every)) > 100
    for text in texts:
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
        assert used
        assert used <= set(re.findall(r'\bid="([^"]+)"', text))


@pytest.mark.parametrize("narrow", [False, True])
def test_the_dark_variant_is_the_chart_as_drawn_on_a_dark_ground(narrow):
    """But for the names of its markers, which are hashes of their colors."""

    def plain(text: str) -> str:
        return re.sub(r"-[mpC][0-9a-f_]{10,}", "", text)

    recolored = in_dark(drawn(Look(LIGHT, narrow)))
    assert plain(recolored) == plain(drawn(Look(DARK, narrow)))
    assert not any(color in recolored for color in (LIGHT.ground, LIGHT.text, *LIGHT.series))


# ---- how much


def test_without_data_there_is_no_chart():
    assert charts.charts([], [], [], dark=False) == {}


def test_one_result_is_a_chart():
    one = made(agreement([ALEXNET], Look(LIGHT, True)))
    assert (
        "alexnet top-5, ten_crop_square: published 18.2, here 18.40, reproduced." in one.description
    )
    single = Curve("lenet5", [(50, 0.0)], [])
    assert made(curves("mnist", [single], WIDE)).description.startswith("lenet5 ends at 0.00 %")


def test_of_two_hundred_results_all_are_drawn_and_a_few_named():
    many = [line("alexnet", "ten_crop_square", 10 + 0.1 * k) for k in range(200)]
    (axes,) = made(agreement(many, WIDE)).figure.axes
    assert len(marks(axes, "o")) == 200
    assert len(axes.texts) == 16


def test_of_two_hundred_differences_forty_are_drawn_those_that_papers_print_first():
    many = [difference(k, expected=None) for k in range(199)] + [difference(199)]
    (axes,) = made(ablations(many, WIDE)).figure.axes
    assert len(marks(axes, "o")) == 40
    assert marks(axes, "D") == [(1.2, 0)]


def test_charts_come_as_files_in_every_look(tmp_path):
    folder = tmp_path / "new" / "charts"
    published = [one for one in PUBLISHED if one.paper.key.startswith("ilsvrc")]
    files = charts.draw(folder, [], [], published)
    assert sorted(file.name for file in files) == [
        "history-dark-narrow.svg", "history-dark.svg", "history-light-narrow.svg", "history-light.svg",
    ]  # fmt: skip
    assert 'id="history-dark-narrow-title"' in (folder / "history-dark-narrow.svg").read_text()
    for file in files:
        ElementTree.parse(io.BytesIO(file.read_bytes()))
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match="Name a folder"):
        charts.draw(tmp_path / "file", [], [], published)


def test_ticks_are_round_and_written_as_people_write_them():
    assert ticks(1.9, 34) == [2, 3, 5, 10, 20, 30]
    assert ticks(0.4, 120) == [0.5, 1, 2, 5, 10, 20, 50, 100]
    assert ticks(2e7, 3e10) == [1e8, 1e9, 1e10]
    assert ticks(4.4, 14) == pytest.approx([6, 8, 10, 12, 14])
    assert [written(value) for value in (0.5, 20, 5_000, 6e7, 1.5e9)] == [
        "0.5",
        "20",
        "5 k",
        "60 M",
        "1.5 G",
    ]
