"""The vocabulary of generated mail: invented people, reserved domains, filler text."""

from functools import lru_cache
from random import Random
from typing import NamedTuple

from mail_pipeline.simulator.seeds import stable_int, stable_random


def _list(text: str, separator: str | None = None) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split(separator))


GIVEN_NAMES = _list(
    """
    Ada Alva Benno Bibi Carlo Cora Dario Dilek Edda Emil Fenna Finn Gero Greta Hanna Henk Ilse Ivo Jana
    Joris Kaja Kolja Lena Levi Mara Milo Nele Nuri Olga Orso Pia Pavel Quinn Rosa Ruben Selma Sven Tilda
    Tomas Uma Urs Vera Viktor Wanda Wim Xenia Yara Yuri Zoë Željko
    """
)
FAMILY_NAMES = _list(
    """
    Ahorn Alder Birch Brook Cedar Clover Dale Delta Elm Ember Fern Field Glen Grove Hazel Heath Iris
    Ivory Juniper Lake Larch Linden Maple Meadow Nettle Oak Orchard Pine Poplar Quarry Reed Rowan Sage
    Stone Thistle Thorn Umber Vale Willow Yarrow Størm Müller-Berg Ñandú
    """
)
COMPANIES = _list(
    """
    alder birch cedar delta ember fern glen harbour iris juniper kestrel larch meadow north orchard pine
    quarry river sage thistle
    """
)
TOP_LEVELS = ("example", "example.com", "example.net", "example.org")
LISTS = (
    "Weekly Digest",
    "Harbour News",
    "Market Notes",
    "Garden Letter",
    "Release Radar",
    "City Events",
    "Data Gazette",
    "Reading List",
    "Trail Report",
    "Kitchen Table",
)
NOTICES = ("Build", "Invoice", "Calendar", "Shipment", "Ticket", "Backup", "Payment", "Login")
TOPICS = _list(
    """
    quarterly report, budget draft, site visit, contract renewal, team offsite, release plan, hiring
    round, price list, travel booking, design review, data export, customer feedback, training day,
    supplier meeting, roadmap, security review, annual audit, new office, newsletter text, support rota,
    photo selection, Angebot für März, réunion de lundi, propuesta año nuevo, отчёт за квартал, 会議の議題,
    תקציב
    """,
    ",",
)
_FILLER = _list(
    """
    about after again agenda amount answer april autumn before begin behind better between bridge budget
    calendar carry change chapter clear client close colour column common copy corner country course
    cover decide deliver detail different document draft during early editor eight either email engine
    enough estimate evening every example expect extra factor family figure final finish first follow
    forward friday garden general ground group growth handle happen harbour head help history hour house
    however idea image include inside issue item join keep kind known large last later lead letter level
    light line list little local long lower main make margin market matter meeting member method middle
    minute model moment monday month morning move name near need never next note number offer office
    often open order other outside paper part people person piece place plan point possible present
    price problem process product project proposal public quarter question quick quite rather reach read
    reason record region reply report request rest result return review right river room round sample
    schedule second section send sense series service seven share short should side signed simple since
    site size small south special spring stage start station step still stone story street strong study
    subject summer supplier support sure system table team text thank their there thing thread three
    through thursday together tomorrow topic total toward travel tuesday under update useful usual value
    version visit walk week welcome where which while winter without wonder word work world write year
    yesterday young
    """
)
_ACCENTS = ("Grüße", "déjà", "señal", "Ωmega", "naïve", "日程", "привет", "🙂", "—", "Zürich", "ﬁle")
GREETINGS = ("Hi", "Hello", "Dear", "Good morning", "Hey")
CLOSINGS = ("Best", "Kind regards", "Thanks", "Cheers", "Many thanks")


class Person(NamedTuple):
    """Somebody who writes or is written to."""

    name: str
    email: str


@lru_cache(maxsize=8192)
def person(*parts: str | int) -> Person:
    """Return the invented person these parts stand for, at a reserved domain (RFC 2606)."""
    number = stable_int("person", *parts)
    given = GIVEN_NAMES[number % len(GIVEN_NAMES)]
    family = FAMILY_NAMES[(number >> 8) % len(FAMILY_NAMES)]
    local = f"{given}.{family}".lower().encode("ascii", "ignore").decode()
    return Person(f"{given} {family}", f"{local}{(number >> 16) % 100}@{domain(number >> 24)}")


def domain(number: int) -> str:
    """Return a reserved domain name for the number."""
    top_level = TOP_LEVELS[number % len(TOP_LEVELS)]
    return f"{COMPANIES[(number >> 4) % len(COMPANIES)]}.{top_level}"


@lru_cache(maxsize=1)
def paragraphs() -> tuple[str, ...]:
    """Return the pool of filler paragraphs bodies are put together from: HTML-safe, 60 to 800 characters.

    Joining ready paragraphs costs a hundredth of drawing a body word by word.
    """
    random = stable_random("paragraphs")
    return tuple(_paragraph(random) for _ in range(600))


def _paragraph(random: Random) -> str:
    sentences = []
    for _ in range(1 + int(random.random() * 8)):
        words = [_FILLER[int(random.random() * len(_FILLER))] for _ in range(9 + int(random.random() * 8))]
        if random.random() < 0.005:
            words.append(_ACCENTS[int(random.random() * len(_ACCENTS))])
        sentences.append(" ".join(words).capitalize() + ".")
    return " ".join(sentences)
