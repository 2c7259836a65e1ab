"""What the simulated shop sells: topics of interest, and words for their goods."""

from typing import NamedTuple


class TopicWords(NamedTuple):
    """A latent topic: its name, its kinds of goods, its brands."""

    name: str
    kinds: tuple[str, ...]
    brands: tuple[str, ...]


# Name, kinds of goods, brands.
_TOPICS = """
coffee
  espresso beans, moka pot, hand grinder, filter papers, milk jug, cold brew
  Altura, Finca Sol, Brasa, Kettle & Co, Nordlys
running
  trail shoes, race socks, hydration vest, headlamp, energy gels, rain shell
  Fleet, Stride, Vento, Kilometre, Harrier
gardening
  seed box, pruning shears, watering can, compost, raised bed, rose fertilizer
  Greenhand, Loam, Hazel, Trellis, Petalworks
photography
  prime lens, camera strap, tripod, film roll, light meter, lens cloth
  Halide, Obscura, Aperta, Silverlab, Kestrel
baking
  sourdough starter, loaf tin, rye flour, rolling pin, cake stand, vanilla
  Crumb, Millstone, Ovenbird, Levain, Butterfly
cycling
  road tyre, saddle, bottle cage, chain oil, bib shorts, bike lamp
  Peloton, Spoke, Col, Freewheel, Cadence
board games
  strategy game, card sleeves, dice set, party game, puzzle, game mat
  Meeple Hall, Sixfold, Tabletop Sons, Rook, Gambit
aquariums
  fish food, water test, air pump, moss ball, glass tank, gravel
  Aquaria, Reefline, Blue Fin, Tidepool, Nautil
jazz
  vinyl record, live album, box set, songbook, concert film, turntable needle
  Bluenote Lane, Offbeat, Smokey, Quartet, Brushes
science fiction
  space opera, novella, short stories, time travel novel, audiobook, comic
  Parsec, Ansible, Ringworks, Nebular, Lightcone
crime novels
  detective novel, noir, thriller, cosy mystery, court drama, true crime
  Redhand, Alibi, Coldcase, Inkwell, Nightshade
hiking
  tent, sleeping bag, walking poles, map, camp stove, merino shirt
  Ridge, Cairn, Larch, Northface Lane, Boulder
makeup
  lipstick, mascara, face primer, blush, nail polish, brush set
  Rouge, Lumen, Velvetine, Aurora, Petite
knitting
  merino yarn, circular needles, pattern book, row counter, sock wool, stitch markers
  Skein, Purl, Woolgather, Alpaca Sons, Loop
home cinema
  soundbar, blu-ray, projector, popcorn maker, wall mount, remote
  Lumiere, Matinee, Reel, Cineast, Boxoffice
dogs
  chew toy, dog food, lead, dog bed, treats, flea comb
  Rufus, Fetch, Wagtail, Barkley, Kennel Row
tea
  green tea, teapot, oolong, tea tin, infuser, chai
  Camellia, Leaf & Steam, Jasmin, Darjee, Samovar
fitness
  kettlebell, yoga mat, protein bar, resistance band, foam roller, jump rope
  Ironside, Flexa, Corework, Pulse, Repeat
toys
  building bricks, plush bear, train set, doll, crayons, kite
  Kinderland, Bricko, Tumble, Teddy Row, Woodling
hardware
  cordless drill, wood screws, work gloves, spirit level, wall paint, saw blade
  Steelhand, Anvil, Dovetail, Torque, Mason
"""
ADJECTIVES = (
    "classic",
    "compact",
    "dark",
    "deluxe",
    "everyday",
    "fine",
    "fresh",
    "large",
    "light",
    "little",
    "original",
    "pure",
)


def _read(name: str, kinds: str, brands: str) -> TopicWords:
    return TopicWords(name, tuple(kinds.strip().split(", ")), tuple(brands.strip().split(", ")))


_LINES = _TOPICS.strip().splitlines()
TOPICS = tuple(map(_read, _LINES[::3], _LINES[1::3], _LINES[2::3]))
BRANDS_PER_TOPIC = 5
