"""Data: sources, splits, manifests and the packed store; no torch.

A source finds images (`CleanImages`, `Pairs`, `NoisyImages`, `NoisyPairs`), `split` deals them to training,
validation and test, and `decode` turns each side into arrays (C, H, W) in one memory-mapped store.

A network sees as many channels as it has: grey images are repeated for a colour network, and colour images become
luma (ITU-R BT.601: 0.299 red + 0.587 green + 0.114 blue, as the field's grey test sets were made) for a grey one, so
that grey and colour images may be mixed; see `noiseless.data.augment.to_channels`.
"""

from noiseless.data.decode import Arrays, Decoded, decode, decode_split
from noiseless.data.gather import View, gather
from noiseless.data.manifest import Manifest, ManifestEntry
from noiseless.data.pairing import Matching, match
from noiseless.data.shipped import replay_crops, samples
from noiseless.data.sources import CleanImages, Item, NoisyImages, NoisyPairs, Pairs, Source
from noiseless.data.split import Split, data_folder, group_of, split
from noiseless.data.store import PackedStore, write_store

__all__ = [
    "Arrays",
    "CleanImages",
    "Decoded",
    "Item",
    "Manifest",
    "ManifestEntry",
    "Matching",
    "NoisyImages",
    "NoisyPairs",
    "PackedStore",
    "Pairs",
    "Source",
    "Split",
    "View",
    "data_folder",
    "decode",
    "decode_split",
    "gather",
    "group_of",
    "match",
    "replay_crops",
    "samples",
    "split",
    "write_store",
]
