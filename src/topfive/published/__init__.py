"""What the papers print: error rates that a run may be set beside, and the sizes of their networks.

One YAML file per paper, in this folder, holds all that it claims. Keys of a file:

  papers     the source and what else quotes or measures its networks: key, citation, year
  networks   names of conf/model: the paper, and the recipes under which it trained the network
  tables     error rates in %, one block per table of the paper; a row overrules its block
  sizes      parameters, multiply-adds and layers, in blocks of the same shape

Values are printed, hence quoted: "6.10" keeps its zero. Keys of the blocks and rows of `tables`:

  network         a name under `networks` of any file, or a free one where nothing of ours fits
  options         of the model, where they differ from the network's own; recipes: likewise
  data, split     what was tested on (imagenet: ILSVRC-2012); hidden_labels: scored by a server
  protocol        how, by the names of PROTOCOLS; "unstated" where the source does not say
  networks        how many networks were averaged; null where the source does not say
  averages        how many of which network of ours, where they are several: {vgg16: 1, vgg19: 1}
  statistic       single | best, mean or median [of N]; std: the printed standard deviation
  role            target (default): a network's own result; restated: the same measurement printed
                  again; context: quoted for orientation, never set beside a run
  cannot_run      why nobody can measure it with what is public or built here
  unverified      why the value is not certain; note: what a reader should know
  where           table, figure or section; paper: a key under `papers` of any file
  top1_error, top5_error, *_change (signed points against the network with its own options)

Of `sizes`: network, options, paper, where; parameters, multiply_adds or layers; and unmet, which says
why the network as described cannot have the printed size.
"""

from topfive.published.catalogue import Catalogue, load, networks, parse, sizes
from topfive.published.comparison import data_sets, matching, recipes
from topfive.published.entries import (
    PROTOCOLS,
    QUANTITIES,
    ROLES,
    SIZES,
    Network,
    Paper,
    Published,
    Size,
)
from topfive.published.printed import met

__all__ = [
    "PROTOCOLS",
    "QUANTITIES",
    "ROLES",
    "SIZES",
    "Catalogue",
    "Network",
    "Paper",
    "Published",
    "Size",
    "data_sets",
    "load",
    "matching",
    "met",
    "networks",
    "parse",
    "recipes",
    "sizes",
]
