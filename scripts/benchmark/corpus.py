"""Generates texts for the benchmark from a list of words, the same texts in every run.

Speed does not depend on the content of the texts. It depends on the frequencies of the words, which
follow natural text (the law of Zipf and Mandelbrot): a few function words in every text, a few
hundred ordinary words in many, and a long tail of names, each in a dozen texts. The tail matters
most to the statistics of a search engine.
"""
import bisect
import itertools
import json
import random

VERSION = 2
FUNCTION_WORDS = """
the of and to a in is it that for was on are as with they be at this from have or by one had not but what all were when we there can an
your which their said if do will each about how up out them then she many some so these would other into has more her two like him see
time could no make than first been its who now people my made over did down only way find use may long little very after called just
where most know""".split()
WORDS = """
account action address agent agreement airport alarm amount analysis answer apple area argument army article audience autumn award bag
balance ball bank basket battery beach bed beer bell benefit bicycle bill bird birthday blanket board boat body bone book border bottle
bottom box boy branch brass bread breakfast bridge brother brush budget building bus business butter button cake camera camp capital car
card career carpet case cat cause chain chair chance channel cheese chemical church circle city class client clock cloth cloud coat code
coffee collar colour column comfort committee company contract control cook copper copy cork cotton country course cousin cover cow
credit crop cup current customer cycle dance danger data date daughter deadline deal debt decision degree delivery desk detail device
diagram dinner direction discount discussion disease doctor dog door doubt draft drawer dress drink driver dust earth editor education
effect egg election engine environment error evening event example exchange exercise expert eye face factory family farm father fear
feather feature feedback field file film finger fire fish flag flight floor flower fold food foot force forest fork form friend front
fruit garden gate gift girl glass glove goal gold government grain grass group growth guest guide guitar hammer hand harbour hat head
health heart heat history hole holiday home hook hope horn horse hospital hour house humour ice idea impulse index industry ink insect
instrument insurance interest invoice iron island item jelly jewel job journey judge jump kettle key kick kitchen knee knife knowledge
label lake lamp land language laugh law lead leaf leather lecture leg lesson letter level library lift light limit line lip liquid list
lock loss love lunch machine manager map market mass match material meal measure meat meeting member memory metal method middle milk
mind mine minute mist model money monkey month moon morning mother motion mountain mouth move muscle music nail name nation neck need
nerve net news night noise north nose note number nurse nut office oil option orange order oven owner page pain paint paper parcel
parent park part partner paste patient payment peace pen pencil person phone picture pig pin pipe place plane plant plate play pleasure
plough pocket point poison policy porter position pot potato powder power price print prison problem process product profit project
promise proposal protest pump punishment purpose push quality quarter question rail rain range rat rate ray reaction reader reason
receipt record region relation release religion report request respect rest revenue reward rhythm rice ring river road rod roll roof
room root rule sail salt sand scale schedule school science scissors screw sea season seat secret section security seed sense server
service session shade shake shape sheep shelf ship shirt shock shoe shop side sign signal silk silver sister size skin skirt sky sleep
smile smoke snake snow soap society sock software son song sound soup south space spade sponge spoon spring square stage stamp star
start statement station steam steel stem step stitch stocking stomach stone stop store story street stretch structure student substance
sugar suggestion summer sun support surface swim system table tail talk tank task taste tax teacher team tendency test theory thread
throat thumb thunder ticket tin title toe tongue tooth touch town trade train transport travel tray tree trick trouble trousers turn
twist umbrella unit university update value vehicle verse version vessel view village visit voice wall war wash waste watch water wave
wax weather week weight wheel whip whistle wind window wine wing winter wire woman wood wool word work worm wound writing year""".split()
ONSETS = "b br c ch d dr f fl g gr h j k l m n p pr qu r s sh st t tr v w z".split()
VOWELS = "a e i o u ai ea io ou".split()
CODAS = ["", "", "", "", "", "", "l", "m", "n", "r", "s", "t", "nd", "rk", "x"]
SESSION_LENGTH = 20
PROJECTS = 100
# Fifty owners, with 30 % of all memories down to a ten-thousandth. Most have few.
OWNERS = 50
LARGEST, SMALLEST = 0.3, 0.0001


def names(count):
    """Makes words of no language, as names of people, tables and projects."""
    dice, made = random.Random(1), {}
    while len(made) < count:
        made["".join(dice.choice(ONSETS) + dice.choice(VOWELS) + dice.choice(CODAS) for _ in range(2))] = None
    return list(made)


class Zipf:
    """Draws words with a probability that falls with their rank."""

    def __init__(self, words):
        self.words = words
        self.cumulated = list(itertools.accumulate(1 / (rank + 2.7) ** 1.1 for rank in range(1, len(words) + 1)))

    def draw(self, dice, count):
        return dice.choices(self.words, cum_weights=self.cumulated, k=count)


def plain_texts(count, mean_words, deviation, seed):
    """Makes texts of ordinary words for the embedders, shortest first, as the worker sorts them."""
    dice, zipf = random.Random(seed), Zipf(FUNCTION_WORDS + WORDS)
    texts = [" ".join(zipf.draw(dice, max(4, round(dice.gauss(mean_words, deviation))))) for _ in range(count)]
    return sorted(texts, key=len)


def shares():
    """Returns each owner's share of the memories, largest first; the shares add up to 1."""
    def fallen(steepness):
        steps = ((owner / (OWNERS - 1)) ** steepness for owner in range(OWNERS))
        return [LARGEST * (SMALLEST / LARGEST) ** step for step in steps]

    low, high = 0.1, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if sum(fallen(middle)) > 1 else (middle, high)
    return fallen(low)


class Memories:
    """A store of memories of 20 to 90 words, and questions about them."""

    def __init__(self, count):
        self.count = count
        self.cumulated = list(itertools.accumulate(shares()))
        self.zipf = Zipf(FUNCTION_WORDS + WORDS + names(40_000))
        # Questions already asked. None is repeated, because a cache would hide its cost.
        self.asked = set()
        self.dice = random.Random(2)

    def text(self, number):
        dice = random.Random(number + 1_000_000)
        return " ".join(self.zipf.draw(dice, dice.randint(20, 90)))

    def owner(self, number):
        """Returns the owner of a memory. Each owner has its share, spread over the whole store."""
        # A permutation: the factor has no common divisor with a count that is a power of ten.
        place = (number * 61_803_397 % self.count + 0.5) / self.count
        return f"owner-{min(bisect.bisect(self.cumulated, place), OWNERS - 1)}"

    def write(self, path):
        """Writes JSON lines for `mcp-server ingest`: sessions of 20, and 1 % in each project."""
        with open(path, "w") as file:
            for number in range(self.count):
                metadata = {
                    "session": f"session-{number // SESSION_LENGTH}",
                    "project": f"project-{number % PROJECTS}",
                    "owner": self.owner(number),
                }
                file.write(json.dumps({"_id": f"m{number}", "text": self.text(number), "metadata": metadata}) + "\n")

    def question(self):
        """Makes a question of two or three words of one memory, and some frequent words."""
        while True:
            known = [word for word in self.text(self.dice.randrange(self.count)).split() if word not in FUNCTION_WORDS]
            words = self.dice.sample(known, min(3, len(known))) + self.zipf.draw(self.dice, self.dice.randint(4, 7))
            self.dice.shuffle(words)
            text = f"what do we know about {' '.join(words)}?"
            if text not in self.asked:
                self.asked.add(text)
                return text

    def questions(self, count):
        return [self.question() for _ in range(count)]
