"""How a command line names a trained network, as trained.load takes it."""

import argparse


def add_network(parser: argparse.ArgumentParser) -> None:
    """Adds --run or --weights, one of which must be given, and --model."""
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--run", help="a directory that train.py made, or a checkpoint in it")
    network.add_argument(
        "--weights", metavar="SPEC", help="foreign weights, such as torchvision:resnet50"
    )
    parser.add_argument(
        "--model", metavar="NAME", help="whose weights they are, if they do not say"
    )
