"""`python -m topfive.inspect`: what it counts, in the terminal, in Markdown and in LaTeX."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from topfive.inspect.__main__ import main
from topfive.inspect.charts import cost
from topfive.inspect.contest import CONTEST, contest, entry
from topfive.inspect.families import Point, published_points
from topfive.inspect.labels import figure, in_a_column, place
from topfive.inspect.measure import Counts, count, measure
from topfive.inspect.network import network
from topfive.inspect.overview import overview
from topfive.inspect.trace import trace
from topfive.published import Paper, Published


def cells(markdown: str) -> list[list[str]]:
    """The rows of a Markdown table, its head first."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    rows = [[cell.strip(" *") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert all(set(cell) <= set("-:") for cell in rows[1])
    assert len({len(row) for row in rows}) == 1
    return [rows[0], *rows[2:]]


def table(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, str]]:
    """Row by row, each by the heads of its columns."""
    assert main([*arguments, "--markdown"]) == 0
    head, *rows = cells(capsys.readouterr().out)
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


# Krizhevsky et al. 2012, by hand: output, parameters, multiply-adds, receptive field, stride
ALEXNET = """
conv1    96×55×55      34,944  105,415,200   11   4
norm1    96×55×55           -            -   11   4
pool1    96×27×27           -            -   19   8
conv2   256×27×27     307,456  223,948,800   51   8
norm2   256×27×27           -            -   51   8
pool2   256×13×13           -            -   67  16
conv3   384×13×13     885,120  149,520,384   99  16
conv4   384×13×13     663,936  112,140,288  131  16
conv5   256×13×13     442,624   74,760,192  163  16
pool5     256×6×6           -            -  195  32
fc6          4096  37,752,832   37,748,736  355   -
fc7          4096  16,781,312   16,777,216  355   -
fc8          1000   4,097,000    4,096,000  355   -
total        1000  60,965,224  724,406,816    -   -
"""


def test_the_table_of_alexnet_is_the_papers(capsys):
    found = table(capsys, "alexnet")
    columns = ("layer", "output", "parameters", "multiply-adds", "field", "stride")
    for line in ALEXNET.strip().splitlines():
        name, *expected = (word.replace("-", "") for word in line.split())
        assert [found[name][column] for column in columns] == [name, *expected]
    assert [name for name in found if "drop" not in name] == re.findall(r"^\w+", ALEXNET, re.M)
    assert found["total"]["what it is"] == "8 layers deep"


@pytest.mark.parametrize(
    ("arguments", "name", "what"),
    [
        (["alexnet"], "conv1", "11×11, 96, stride 4"),
        (["alexnet"], "conv2", "5×5, 256, pad 2, groups 2"),
        (["alexnet"], "pool1", "max 3×3, stride 2, rounded up"),
        (["vgg16"], "fc6", "fully connected, 4096, over 7×7"),
        (["resnet34"], "conv2_x", "[3×3, 64 / 3×3, 64] ×3"),
        (["resnet34"], "conv3_x", "[3×3, 128 / 3×3, 128] ×4, stride 2, projection"),
        # Option A projects nothing.
        (["resnet34", "shortcut=A"], "conv3_x", "[3×3, 128 / 3×3, 128] ×4, stride 2"),
        (["resnet50"], "conv2_x", "[1×1, 64 / 3×3, 64 / 1×1, 256] ×3, projection"),
        (
            ["googlenet"],
            "aux1",
            "average 5×5 / 1×1, 128 / fully connected, 1024, over 4×4 / fully connected, 1000, "
            "in training only",
        ),
        # Szegedy et al. 2014, Table 1: 1x1, then the reduced 3x3 and 5x5, then the projection
        (
            ["googlenet"],
            "inception_3a",
            r"1×1, 64 \| 1×1, 96 / 3×3, 128 \| 1×1, 16 / 5×5, 32 \| max 3×3 / 1×1, 32",
        ),
    ],
)
def test_a_row_says_what_the_layer_is(capsys, arguments, name, what):
    assert table(capsys, *arguments)[name]["what it is"] == what


def test_lenet_counts_the_kernels_that_table_1_connects_and_seven_layers(capsys):
    found = table(capsys, "lenet5")
    assert found["c3"]["parameters"] == "1,516"
    assert found["c3"]["multiply-adds"] == "150,000"  # 60 kernels of 25 at 10 x 10, not 96
    assert found["total"]["parameters"] == "60,000"  # LeCun et al. 1998, section II-B
    assert found["total"]["multiply-adds"] == "325,680"
    assert found["total"]["what it is"] == "7 layers deep"


def test_googlenets_table_is_of_inference_and_a_line_tells_what_training_adds(capsys):
    found = table(capsys, "googlenet", "--batch", "2")
    assert found["total"]["parameters"] == "6,998,552"
    assert found["total"]["multiply-adds"] == "1,582,671,872"
    assert found["total"]["what it is"] == "22 layers deep"
    assert found["in training"]["what it is"] == "with aux1, aux2"
    assert found["in training"]["parameters"] == "13,378,280"
    assert found["in training"]["multiply-adds"] == "1,591,044,096"
    assert found["aux1"]["parameters"] == "3,188,840"
    assert found["aux2"]["parameters"] == "3,190,888"
    assert found["aux1"]["inference MiB"] == ""
    kept = sum(float(row["training MiB"] or 0) for name, row in found.items() if "a" in name[:1])
    without = table(capsys, "googlenet", "auxiliary=false", "--batch", "2")
    total = float(found["total"]["training MiB"])
    # Every row is rounded to 0.01.
    assert kept == pytest.approx(total - float(without["total"]["training MiB"]), abs=0.05)


@pytest.mark.parametrize("arguments", [["resnet20", "shortcut=B"], ["googlenet"]])
def test_layers_unfold_to_the_same_totals(capsys, arguments):
    folded = table(capsys, *arguments, "--batch", "2")
    unfolded = table(capsys, *arguments, "--batch", "2", "--layers")
    assert unfolded["total"] == folded["total"]
    assert len(unfolded) > 2 * len(folded)
    for column in ("parameters", "multiply-adds"):
        rows = [r for r in unfolded.values() if "train" not in r["layer"] + r["what it is"]]
        parts = [int(r[column].replace(",", "") or 0) for r in rows if r["layer"] != "total"]
        inference = [p for r, p in zip(rows, parts, strict=False) if "aux" not in r["layer"]]
        assert sum(inference) == int(folded["total"][column].replace(",", ""))


def test_layers_name_what_is_inside(capsys):
    found = table(capsys, "resnet20", "shortcut=B", "--layers", "--batch", "1")
    assert found["conv3_x.0.shortcut.0"]["what it is"] == "1×1, 32, stride 2"
    assert found["conv3_x.0.shortcut.0"]["field"] == "15"
    assert found["conv3_x.0.conv2"]["field"] == "21"


# He et al. 2015, section 4.1, by hand: 13 projections more
@pytest.mark.parametrize("given", ["shortcut=C", "model.shortcut=C"])
def test_an_option_needs_no_group(capsys, given):
    assert table(capsys, "resnet34", given)["total"]["parameters"] == "22,716,840"


def test_keys_of_the_recipe_and_the_data_are_taken(capsys):
    assert "3×256×256, a batch has 7" in out_of(
        capsys, "resnet18", "recipe.crop.size=256", "recipe.batch_size=7"
    )
    cifar100 = table(capsys, "resnet20", "data=cifar100")
    assert cifar100["fc"]["parameters"] == "6,500"  # (64 + 1) x 100
    assert table(capsys, "resnet20", "--classes", "7")["fc"]["parameters"] == "455"


def out_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_a_larger_input_leaves_the_network_what_it_is(capsys):
    found = table(capsys, "vgg16", "--input", "384", "--batch", "1")
    assert found["total"]["parameters"] == "138,357,544"
    assert found["fc8"]["output"] == "1000×6×6"  # 1 + (384 - 224) / 32


def test_nothing_is_allocated(capsys):
    """Ten million images of VGG-19: 5.5 PiB."""
    found = table(capsys, "vgg19", "--batch", "10000000")
    assert float(found["total"]["inference MiB"].replace(",", "")) > 1e8
    made = network("vgg19")
    assert all(tensor.is_meta for tensor in (*made.net.parameters(), *made.net.buffers()))


def test_resnet110_is_110_layers_deep():
    made = network("resnet110")
    found = count(made.net, (1, 3, 32, 32))
    assert found == Counts(110, 1_727_962, 252_887_680)  # He et al. 2015, Table 6, by hand


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.project = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.project(x))


class Small(nn.Module):
    """With a grouped convolution, a shortcut, batch normalization, and a product of matrices."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 5, stride=2)
        self.bn = nn.BatchNorm2d(4)
        self.block = Block()
        self.fc = nn.Linear(4 * 6 * 6, 10)

    def forward(self, x):
        x = self.block(F.relu(self.bn(self.stem(x))))
        return self.fc(x.flatten(1))


def test_multiply_adds_are_counted_as_by_hand_and_as_torch_does():
    with torch.device("meta"):
        net = Small()
    found = measure(net, (3, 3, 16, 16))
    by_hand = {"stem": 36 * 4 * 3 * 25, "bn": 0, "fc": 144 * 10}
    by_hand["block"] = 36 * 4 * (2 * 9 + 4 * 9 + 4)
    assert {one.name: one.multiply_adds for one in found.layers} == by_hand
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, 16, 16, device="meta"))
    assert found.multiply_adds == counter.get_total_flops() // 2
    assert found.depth == 4  # the projection is on the shorter path
    assert [one.output for one in found.layers] == [(4, 6, 6), (4, 6, 6), (4, 6, 6), (10,)]


def test_a_network_is_left_in_the_mode_that_it_was_in():
    net = Small().to("meta").train()
    measure(net, (2, 3, 16, 16))
    assert net.training
    assert not net.stem._forward_hooks
    assert not net.stem._forward_pre_hooks


def layers(*modules: nn.Module) -> nn.Module:
    return nn.Sequential(*modules).to("meta")


IMAGE, MAPS = 36 * 4, 2 * 16 * 4  # 1 x 6 x 6 and 2 x 4 x 4, in bytes


def test_the_inference_peak_is_what_is_alive_at_once():
    net = layers(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    # The image, which the caller holds, and the convolution's output while ReLU makes its own.
    assert measure(net, (1, 1, 6, 6)).peak == IMAGE + 2 * MAPS
    assert [one.peak for one in measure(net, (1, 1, 6, 6)).layers] == [
        IMAGE + MAPS,
        IMAGE + 2 * MAPS,
        IMAGE + MAPS,  # a view
        IMAGE + MAPS + 12,
    ]
    assert measure(net, (5, 1, 6, 6)).peak == 5 * (IMAGE + 2 * MAPS)


def test_what_works_in_place_takes_nothing():
    net = layers(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(32, 3))
    assert measure(net, (1, 1, 6, 6)).peak == IMAGE + MAPS + 12


def test_a_shortcut_keeps_its_input_alive():
    class Shortcut(nn.Module):
        def forward(self, x):
            return F.relu(F.relu(x)) + x

    # The second ReLU has the image, the first one's output and its own.
    assert measure(layers(Shortcut()), (1, 1, 6, 6)).peak == 3 * IMAGE


@pytest.mark.parametrize(
    ("modules", "kept"),
    [
        # The convolution keeps its input, ReLU its output, which the next layer's input is.
        ([nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 1, 1)], IMAGE + MAPS),
        ([nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)], IMAGE + MAPS),
        # Pooling keeps its input and, of every output, where it was: 8 bytes.
        ([nn.Conv2d(1, 2, 3), nn.MaxPool2d(2)], IMAGE + MAPS + 2 * 4 * 8),
        # Batch normalization keeps its input and mean and deviation of every map.
        ([nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)], IMAGE + MAPS + 2 * 2 * 4),
        # Weights are not counted, nor what needs no gradient.
        ([nn.Flatten(), nn.Linear(36, 3)], IMAGE),
        ([nn.ReLU()], 0),
    ],
)
def test_training_keeps_what_backward_needs(modules, kept):
    found = measure(layers(*modules), (1, 1, 6, 6))
    assert found.kept == kept
    assert sum(one.kept for one in found.layers) == kept


def test_classic_dropout_keeps_its_mask_a_byte_a_unit():
    from topfive.layers import Dropout

    found = measure(layers(nn.Conv2d(1, 2, 3), Dropout(0.5)), (1, 1, 6, 6))
    assert found.kept == IMAGE + 32


def test_shared_and_unused_parameters_count_once():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(36, 36)
            self.second = nn.Linear(36, 36)
            self.second.weight = self.first.weight
            self.second.unused = nn.Parameter(torch.empty(5))

        def forward(self, x):
            return self.second(self.first(x.flatten(1)))

    with torch.device("meta"):
        net = Shared()
    found = measure(net, (1, 1, 6, 6))
    assert [one.parameters for one in found.layers] == [36 * 36 + 36, 36 + 5]
    assert found.parameters == found.training_parameters == 36 * 36 + 36 + 36 + 5
    assert count(net, (1, 1, 6, 6)).parameters == found.parameters


def test_parameters_of_the_network_itself_have_a_row():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.empty(1))
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            return self.conv(x) * self.scale

    found = measure(Scaled().to("meta"), (1, 1, 6, 6))
    assert found.parameters == 21
    assert found.depth == 2
    assert {one.name: one.parameters for one in found.layers} == {"": 21, "conv": 0}


def test_operations_know_the_module_that_they_run_in():
    seen = trace(Small().to("meta"), (1, 3, 16, 16))
    assert seen.entered[:4] == ["", "stem", "bn", "block"]
    assert [e.module for e in seen.events if e.multiply_adds] == [
        *("stem", "block.conv1", "block.conv2", "block.project", "fc")
    ]
    assert seen.fed["block.conv2"] == "block.conv1"
    assert seen.fed["block.project"] == "bn"


def test_latex_has_as_many_cells_as_columns_and_escapes_what_it_must(capsys):
    text = out_of(capsys, "bn_inception", "--latex")
    align = re.search(r"\\begin\{tabular\}\{@\{\}(.*)@\{\}\}", text)[1]
    columns = len(re.sub(r"p\{.*?\}", "p", align))
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    lines = [line for line in body.strip().splitlines() if not line.startswith(r"\midrule")]
    assert body.count(r"\midrule") == 2
    for line in lines:
        assert line.endswith(r" \\")
        assert len(re.split(r"(?<!\\)&", line)) == columns
    assert (
        len(lines) == 1 + 18 + 1
    )  # head, rows of Fig. 5 with conv2's reduction and dropout, total
    assert not re.search(r"(?<!\\)[_%#]", body)
    assert r"inception\_3a & " in text
    assert not set(text) - set(map(chr, range(32, 127))) - {"\n"}
    for opened, closed in ("{}", (r"\begin{", r"\end{")):
        assert text.count(opened) == text.count(closed)
    assert text.count("$") % 2 == 0


def test_the_file_says_by_its_name_what_it_is(capsys, tmp_path):
    for name, sign in (("a.tex", r"\toprule"), ("a.md", "| c1 |"), ("a.txt", "layers deep")):
        assert out_of(capsys, "lenet5", "--output", str(tmp_path / name)) == ""
        assert sign in (tmp_path / name).read_text()


def test_a_narrow_terminal_cuts_no_number(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = out_of(capsys, "resnet50")
    for number in ("1,387,266,048", "3,857,973,248", "25,557,032"):
        assert number in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a network, or --all. There are: alexnet"),
        (["alexnett"], "no network 'alexnett'. Did you mean alexnet"),
        (["alexnet", "lnr=false"], "alexnet has no option 'lnr': it has .*, lrn, .*recipe.crop"),
        (["lenet5", "dropout=0"], "lenet5 has no option 'dropout': it has none"),
        (["resnet34", "shortcut"], "'shortcut' is no option: expected key=value"),
        (["resnet34", "shortcut=D"], "resnet34 cannot be built: shortcut is A, B, C"),
        (["alexnet", "recipe.crop.sise=3"], "recipe.crop.sise.*train.py model=alexnet --cfg job"),
        (["alexnet", "recipe=none_such"], "recipe/none_such"),
        (["alexnet", "num_classes=3"], "--classes 3"),
        (["alexnet", "--input", "20"], "does not run .* 3×20×20: .*Give another --input"),
        (["alexnet", "--input", "90"], "image is too small for this network"),
        (["alexnet", "--batch", "0"], "--batch 0: expected a number of 1 or more"),
        (["alexnet", "--all"], "leave out alexnet or --all"),
        (["lenet5", "--output", "no/such/folder.txt"], "--output no/such/folder.txt: No such file"),
    ],
)
def test_what_cannot_be_answered_is_one_line(capsys, arguments, message):
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert re.search(message, captured.err)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_help_shows_commands_and_says_what_memory_is(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    assert "python -m topfive.inspect resnet34 shortcut=C" in text
    assert "Training memory is what autograd keeps" in text


def test_the_overview_sets_the_printed_figures_beside_ours():
    found = overview(["resnet34", "googlenet", "alexnet"])
    rows = {row[0]: row for row in found.rows}
    assert [row[2] for row in found.rows] == sorted(row[2] for row in found.rows)  # years
    assert rows["alexnet"][:2] == ("alexnet", "Krizhevsky et al.")
    assert rows["alexnet"][5:8] == ("60,965,224", "60M [1]", "724,406,816")
    assert any(note.startswith("[1] 60M (Krizhevsky et al. 2012") for note in found.notes)
    assert rows["resnet34 shortcut=A"][7:] == ("3,644,493,824", "3.6e9")
    # Without its heads the network is the same in evaluation: one row.
    assert rows["googlenet"][3:7] == ("22", "22", "6,998,552", "6.8M [2]")
    assert {name.split()[0] for name in rows} == {"resnet34", "googlenet", "alexnet"}


PAPER = Paper("p", "A, B, C. Title. 2012", 2012)


def published(**facts: object) -> Published:
    from topfive.published import networks

    usual = {"network": "alexnet", "options": {}, "recipes": (), "data": "imagenet", "split": "val"}
    usual |= {"protocol": "ten_crop", "quantity": "top5_error", "value": "18.2", "paper": PAPER}
    usual |= {"home": networks()["alexnet"], "where": ""}
    return Published(**(usual | facts))


def test_a_chart_has_single_networks_as_their_papers_have_them():
    kept = [published(), published(value="17.9", protocol="ten_crop_square")]
    left = [
        published(networks=5, value="16.4"),
        published(options={"lrn": False}, value="10"),
        published(role="context", value="10"),
        published(split="test", value="10"),
        published(data="imagenet2010", value="10"),
        published(quantity="top1_error", value="10"),
        published(value="< 0.1"),
        published(home=None, value="10"),
        published(cannot_run="secret", value="10"),
    ]
    other = published(protocol="dense_384", value="16")
    assert published_points([*left, *kept, other], "imagenet", "top5_error") == [
        Point("alexnet", "ten crops", 17.9),  # the lowest of one kind of test
        Point("alexnet", "whole image, one scale", 16.0),
    ]


def test_a_chart_of_costs_is_two_files(tmp_path):
    known = {"a": Counts(8, 61_000_000, 724_000_000), "b": Counts(50, 26_000_000, 3_900_000_000)}
    points = [
        Point("a", "ten crops", 18.2),
        Point("b", "one crop", 7.8),
        Point("b", "ten crops", 6.7),
    ]
    files = cost(tmp_path, "chart", "imagenet", "top5_error", points, known)
    assert [file.name for file in files] == ["chart.svg", "chart.png"]
    assert files[0].read_text().startswith("<?xml")
    assert files[0].stat().st_size < 200_000
    assert files[1].read_bytes().startswith(b"\x89PNG")
    again = cost(tmp_path / "..", tmp_path.name + "_again", "imagenet", "top5_error", points, known)
    assert again[0].read_text() == files[0].read_text()


def test_names_in_a_chart_do_not_lie_on_each_other():
    points = [(float(x), 5 + 0.02 * x) for x in range(12)]
    with figure(8, 5) as made:
        axes = made.subplots()
        axes.scatter(*zip(*points, strict=True))
        axes.margins(0.3)
        place(axes, points, [f"network{n}" for n in range(12)])
        made.canvas.draw()
        boxes = [text.get_window_extent(made.canvas.get_renderer()) for text in axes.texts]
    assert len(boxes) == 12
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])


def test_names_in_a_column_move_apart_around_their_middle():
    assert in_a_column([0.1, 0.5, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.45, 0.55, 0.9])
    assert in_a_column([0.5, 0.5, 0.52], 0.1) == pytest.approx([0.4067, 0.5067, 0.6067], abs=1e-4)
    assert in_a_column([], 0.1) == []


def test_the_contest_is_told_by_its_entries(tmp_path, monkeypatch):
    monkeypatch.setattr("topfive.inspect.contest.counts", lambda name: Counts(8, 1, 1))
    errors = {name: entry(name).number for name in CONTEST}
    assert round(errors["SuperVision"], 1) == 16.4  # without outside data
    assert round(errors["Clarifai"], 1) == 11.7
    assert errors["ResNet ensemble"] == 3.57  # He et al. 2015, Table 5
    assert len(contest(tmp_path)) == 2
