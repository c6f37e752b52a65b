"""How many paraphrased booking calls end in the right booking: the clinic's rules alone, called by the clinic's agent.

`paraphrased(seed, count)` makes the calls, of phrases that are combined at random. Some are typed in small letters and
without punctuation, some change their mind, some say all at once and some one thing a turn. If the assistant reads the
details back and asks whether to book, the caller agrees: a wrong read-back ends in a wrong booking. A caller who has
said everything answers what the assistant asks, at most four times.

With `--spoken`, `hibari` or `espeak` speaks the calls with the voices of xAI in turn, and the transcriber of the
extra `hearing` hears them. Dates and times are then worded as people say them, and the names are ones whose spelling
follows from their sound. `--names all` has the typed calls' names, of which a recognizer spells some in another way;
so the bench also counts the calls that are right but for the name. What was not understood is said once more, slower.
`--snr` and `--telephone` degrade the speech, as `realtape degrade` does. `--clips` plays the shipped clips instead,
one to a call, and prints what the clinic makes of each.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from itertools import cycle
from pathlib import Path

from clinic_agent.call.connection import CallFailed
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.clinic.assistant import calling, clinic_assistant
from clinic_agent.clinic.clinic import SERVICES, Clinic
from clinic_agent.config import Config
from mockserver.audio.asr import MISSING, installed
from mockserver.audio.codecs import resample
from mockserver.audio.degrade import degrade
from mockserver.audio.formats import Samples
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.tts.base import Synthesizer
from mockserver.audio.wav import read_wav
from mockserver.testing.mock_server import MockServer

SCENARIO = Path(__file__).parents[1] / "cassettes" / "scenarios" / "clinic.yaml"
TODAY = date(2026, 7, 1)
PATIENT = RetryPolicy(silence_s=60.0, turn_s=120.0)
"""A busy machine takes long to transcribe a turn. A turn in which the server finds no speech gets no answer at all."""
Speak = Callable[[str, float], bytes]

_SMALL = "zero one two three four five six seven eight nine ten eleven twelve".split()
_MINUTES = {20: "twenty", 30: "thirty", 40: "forty"}
_DAYS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth twentieth twenty-first twenty-second twenty-third twenty-fourth"
    " twenty-fifth twenty-sixth twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first"
).split()
_WISHES = {
    "dental cleaning": [
        "a dental cleaning", "to get my teeth cleaned", "a teeth cleaning", "a cleaning", "to have my teeth cleaned",
        "an appointment for a dental cleaning", "a slot with the hygienist", "my teeth cleaning",
    ],
    "dental check-up": [
        "a dental check-up", "a checkup for my teeth", "a dental checkup", "a routine dental exam",
        "to have my teeth checked", "a check-up at the dentist", "my yearly dental check up",
    ],
    "general consultation": [
        "a general consultation", "to see a doctor", "a consultation", "an appointment with the doctor",
        "a doctor's appointment", "a consultation with the doctor",
    ],
    "vaccination": [
        "a vaccination", "to get vaccinated", "a flu shot", "my booster", "a tetanus shot", "a vaccine",
        "an appointment for a vaccination",
    ],
}  # fmt: skip
_OPENINGS = [
    "I would like {wish}", "I'd like {wish}", "I need {wish}", "Could I get {wish}", "Hello, I want {wish}",
    "Hi there, I'm calling because I need {wish}", "Good morning, I would like {wish}", "I was hoping to book {wish}",
    "Can I book {wish}", "Is it possible to schedule {wish}", "Um, yes, hi, I need {wish}", "I want to arrange {wish}",
]  # fmt: skip
_ASKED_DAY = ["{day}", "{day}, please", "How about {day}?", "{day} would be great", "Let's say {day}", "Maybe {day}?"]
_ASKED_TIME = [
    "{time}", "{time}, please", "I'll take {time}", "{time} works for me", "The {time} one", "Let's do {time}",
    "Could we do {time}?", "{time} sounds good", "I would prefer {time}", "Then {time}",
]  # fmt: skip
_ASKED_NAME = [
    "My name is {name}", "This is {name}", "It's {name}", "{name}", "I'm {name}", "The name is {name}",
    "{name} is my name", "Sure, it's {name}", "Yes, my name is {name}", "You can put it under {name}",
]  # fmt: skip
_CHANGED_DAY = [
    "Actually, make that {day}", "Sorry, I meant {day}", "Oh wait, {day} would be better", "On second thought, {day}",
    "Hmm, could we do {day} instead?",
]  # fmt: skip
_CORRECTED_TIME = ["{wrong}, no, sorry, {time}", "Not {wrong}, {time} please", "{time} instead of {wrong}"]
_AGREEMENTS = ["Yes", "Yes, please", "Sure", "That's right", "Yeah, go ahead", "Please do", "OK", "Perfect", "Correct"]
_NAMES = [
    "Maria Lopez", "John Smith", "Anna Schmidt", "Jean-Luc Picard", "Siobhan O'Neill", "Li Wei", "Aisha Khan",
    "Peter van Dyke", "José García", "Emily Brown", "Noah Williams", "Priya Patel", "Tom Baker", "Olga Petrova",
]  # fmt: skip
_COMMON_NAMES = [
    "Maria Lopez", "John Smith", "Emily Brown", "Tom Baker", "Mary Johnson", "James Wilson", "David Miller",
    "Peter Taylor", "Susan White", "Robert Green", "Linda Martin", "George Harris", "Karen Young", "Paul Walker",
]  # fmt: skip
SLOWER = 0.85
MOST_ANSWERS = 4


@dataclass(frozen=True, slots=True)
class BookingCall:
    """What a caller says, turn by turn, and the booking that they mean."""

    turns: tuple[str, ...]
    agreement: str
    answers: Mapping[str, str]
    """What the caller answers, by words of the question."""
    service: str
    day: date
    start: time
    name: str


def paraphrased(
    seed: int, count: int, *, spoken: bool = False, names: Sequence[str] = _NAMES, today: date = TODAY
) -> list[BookingCall]:
    """That many calls; the same seed makes the same ones. `spoken`: in words alone, as they are said."""
    rng = random.Random(seed)
    return [_call(rng, today, spoken, names) for _ in range(count)]


def _call(rng: random.Random, today: date, spoken: bool, names: Sequence[str]) -> BookingCall:
    service = rng.choice(sorted(SERVICES))
    day, other_day = rng.sample([each for n in range(1, 31) if (each := today + timedelta(days=n)).weekday() < 5], 2)
    start, wrong = rng.sample(SERVICES[service].starts, 2)
    name = rng.choice(names)
    said_day, said_time = _said_day(rng, day, today, spoken), _said_time(rng, start, spoken)
    wish = rng.choice(_OPENINGS).format(wish=rng.choice(_WISHES[service]))
    named = rng.choice(_ASKED_NAME).format(name=name)
    timed = rng.choice(_ASKED_TIME).format(time=said_time)
    shapes: list[Callable[[], list[str]]] = [
        lambda: [f"{wish} {_on(said_day)}", f"{timed}. {named}"],
        lambda: [f"{wish} {_on(said_day)}", timed, named],
        lambda: [f"{wish} {_on(said_day)} at {said_time}. {named}"],
        lambda: [wish, rng.choice(_ASKED_DAY).format(day=said_day), timed, named],
        lambda: [wish, f"{rng.choice(_ASKED_DAY).format(day=said_day)} at {said_time}", named],
        lambda: [f"{wish} for {name} {_on(said_day)}", timed],
        lambda: [
            f"{wish} {_on(_said_day(rng, other_day, today, spoken))}",
            rng.choice(_CHANGED_DAY).format(day=said_day),
            f"{timed}. {named}",
        ],
        lambda: [
            f"{wish} {_on(said_day)}",
            rng.choice(_CORRECTED_TIME).format(time=said_time, wrong=_said_time(rng, wrong, spoken)),
            named,
        ],
    ]
    turns = [turn[:1].upper() + turn[1:] + rng.choice(("", ".", " please.")) for turn in rng.choice(shapes)()]
    if rng.random() < 0.25 and not spoken:
        turns = ["".join(sign for sign in turn.lower() if sign not in ".,!?") for turn in turns]
        name = " ".join(part.lower() for part in name.split())
    answers = {
        "Which service": f"{wish} {_on(said_day)}",
        "would you like to book": f"{wish} {_on(said_day)}",
        "n which day": said_day,
        "Which one suits you": said_time,
        "Which time suits you": said_time,
        "full name": name,
    }
    return BookingCall(tuple(turns), rng.choice(_AGREEMENTS), answers, service, day, start, name)


def _on(day: str) -> str:
    bare = day.split()[0].lower() in ("tomorrow", "next", "in", "this", "a", "the") and not day.startswith("the ")
    return day if bare else f"on {day}"


def _said_day(rng: random.Random, day: date, today: date, spoken: bool) -> str:
    word, number, month = _DAYS[day.day - 1], day.day, f"{day:%B}"
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number not in (11, 12, 13) else 0, "th")
    ways = [
        f"{month} {word}", f"{month} {number}{suffix}", f"{month} {number}", f"the {word} of {month}",
        f"{number} {month}", f"{day:%A}, {month} {word}", f"{day:%A} the {word}", f"{day.month}/{number}",
        day.isoformat(), f"{month} the {number}{suffix}", f"{day:%b} {number}",
    ]  # fmt: skip
    if spoken:
        ways = [
            f"{month} {word}", f"the {word} of {month}", f"{day:%A}, {month} {word}", f"{day:%A} the {word}",
            f"{month} the {word}",
        ]  # fmt: skip
    ahead = (day - today).days
    if ahead == 1:
        ways += ["tomorrow"] * 3
    if ahead <= 7:
        ways += [f"{day:%A}", f"this {day:%A}", f"in {_SMALL[ahead]} days" if ahead > 1 else "tomorrow"]
    if today.isocalendar()[1] + 1 == day.isocalendar()[1]:
        ways += [f"next {day:%A}", f"{day:%A} next week"]
    return rng.choice(ways)


def _said_time(rng: random.Random, start: time, spoken: bool) -> str:
    hour, minute = _SMALL[(start.hour - 1) % 12 + 1], start.minute
    following = _SMALL[start.hour % 12 + 1]
    half = "a.m." if start.hour < 12 else "p.m."
    part = "morning" if start.hour < 12 else "afternoon"
    figures = f"{(start.hour - 1) % 12 + 1}:{minute:02}"
    ways = [] if spoken else [f"{start:%H:%M}", figures, f"{figures} {half}", f"{figures} in the {part}"]
    if minute == 0:
        ways += [f"{hour} o'clock", f"{hour} in the {part}", f"{hour} {half}"]
    else:
        ways += [f"{hour} {_MINUTES[minute]}", f"{hour} {_MINUTES[minute]} in the {part}"]
    ways += {
        20: [f"twenty past {hour}"],
        30: [f"half past {hour}", f"half past {hour} in the {part}"],
        40: [f"twenty to {following}"],
    }.get(minute, [])
    return rng.choice(ways)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call ended in: the right booking, one that is right but for the spelling of the name, or another."""

    right: bool
    but_for_the_name: bool
    said: tuple[str, ...]
    """The meant booking, the calendar, and the conversation."""


async def outcome(mock: MockServer, call: BookingCall, speak: Speak | None = None) -> Outcome:
    """Make one call, typed or with a voice."""
    clinic = Clinic(TODAY)
    config = Config(mock.ws_url, mock.http_url, mock.api_key)
    said: list[str] = []
    async with calling(config, clinic_assistant(clinic), priced_on=TODAY, retry=PATIENT, plays=False) as line:
        left, answers, again = list(reversed(call.turns)), MOST_ANSWERS, False
        while left and not line.over:
            words = left.pop()
            try:
                answer = await line.say(words if speak is None else speak(words, SLOWER if again else 1.0))
            except CallFailed as failed:
                said += [f"  caller     {words}", f"  {failed}"]
                break
            heard = "" if speak is None else f"\n  heard      {answer.heard}"
            said += [f"  caller     {words}{heard}", f"  assistant  {answer.said}"]
            again = speak is not None and not again and "say it again" in answer.said
            if again:
                left.append(words)
            elif "hall I book" in answer.said and words != call.agreement:
                left.append(call.agreement)
            elif not left and answers:
                left += [next((text for asked, text in call.answers.items() if asked in answer.said), "")]
                left, answers = [text for text in left if text], answers - 1
    found = [(each.service, each.date, each.time, each.name.casefold()) for each in clinic.schedule.bookings()]
    meant = (call.service, call.day, call.start, call.name.casefold())
    said.insert(0, f"meant {call.service}, {call.day}, {call.start:%H:%M}, {call.name}; booked {found or 'nothing'}")
    return Outcome(found == [meant], len(found) == 1 and found[0][:3] == meant[:3], tuple(said))


@dataclass(frozen=True, slots=True)
class Line:
    """How the callers are heard: the synthesizer, the signal-to-noise ratio in dB, and whether by telephone."""

    synthesizer: Synthesizer
    snr_db: float | None
    telephone: bool

    def pcm(self, samples: Samples, rate: int) -> bytes:
        """Samples as they arrive: PCM16, 24 kHz, mono."""
        heard = degrade(samples, rate, snr_db=self.snr_db, telephone=self.telephone)
        return resample(heard, rate, 24_000).astype("<i2").tobytes()


def speaker(line: Line, voice: str) -> Speak:
    """A function that speaks a text at a speed as PCM16, 24 kHz, mono."""

    def speak(text: str, speed: float) -> bytes:
        clip = line.synthesizer.speak(text, voice=voice, speed=speed)
        return line.pcm(clip.samples, clip.rate)

    return speak


async def clips() -> None:
    """Print what the clinic makes of each shipped clip, as the rows of a table."""
    print("| clip | heard | the clinic |\n|---|---|---|")
    async with MockServer(SCENARIO, pacing="burst", voice="tone", findings="off", transcriber="auto") as mock:
        for clip in sorted((SCENARIO.parents[1] / "voices").glob("*.wav")):
            samples, rate = read_wav(clip)
            config = Config(mock.ws_url, mock.http_url, mock.api_key)
            assistant = clinic_assistant(Clinic(TODAY))
            async with calling(config, assistant, priced_on=TODAY, retry=PATIENT, plays=False) as line:
                turn = await line.say(resample(samples, rate, 24_000).astype("<i2").tobytes())
            print(f"| `{clip.name}` | {turn.heard} | {turn.said} |", flush=True)


async def run(calls: Sequence[BookingCall], show: bool, spoken: Line | None) -> tuple[int, int]:
    """Make all calls: how many ended in the right booking, and how many in one that is right but for the name."""
    right = nearly = 0
    heard = "off" if spoken is None else "auto"
    async with MockServer(SCENARIO, pacing="burst", voice="tone", findings="off", transcriber=heard) as mock:
        for call, voice in zip(calls, cycle(("ara", "eve", "leo", "rex", "sal")), strict=False):
            ended = await outcome(mock, call, None if spoken is None else speaker(spoken, voice))
            right += ended.right
            nearly += ended.but_for_the_name
            if show and not ended.right:
                print("\n".join([*ended.said, ""]), flush=True)
    return right, nearly


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=40, metavar="N", help="how many calls (default 40)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the paraphrases (default 1)")
    parser.add_argument("--spoken", choices=("hibari", "espeak"), help="speak the calls instead of typing them")
    parser.add_argument("--names", choices=("common", "all"), default="common", help="of spoken calls (default common)")
    parser.add_argument("--snr", type=float, metavar="DB", help="noise below spoken calls")
    parser.add_argument("--telephone", action="store_true", help="spoken calls come by telephone")
    parser.add_argument("--clips", action="store_true", help="play the shipped clips instead")
    parser.add_argument("--show", action="store_true", help="print the calls that ended in another booking or in none")
    asked = parser.parse_args()
    if (asked.spoken or asked.clips) and not installed():
        parser.error(MISSING)
    if asked.clips:
        asyncio.run(clips())
        return
    names = _COMMON_NAMES if asked.spoken and asked.names == "common" else _NAMES
    calls = paraphrased(asked.seed, asked.calls, spoken=bool(asked.spoken), names=names)
    spoken = Line(synthesizer_named(asked.spoken), asked.snr, asked.telephone) if asked.spoken else None
    right, nearly = asyncio.run(run(calls, asked.show, spoken))
    way = f"spoken by {asked.spoken}" if asked.spoken else "typed"
    print(f"{way}, rules alone: {right} of {asked.calls} calls end in the right booking ({right / asked.calls:.1%})")
    if asked.spoken:
        print(f"{nearly} of {asked.calls} are right but for the spelling of the name ({nearly / asked.calls:.1%})")


if __name__ == "__main__":
    main()
