"""What callers say and what it means, typed and spoken; and that what is said by templates is read back as it was."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta

import pytest

from mockserver.responders.captures.kinds import Choice, Code, Kind, Reading, kind_of
from mockserver.responders.captures.spoken import spelled, spoken_date, spoken_list, spoken_time
from mockserver.responders.captures.utterance import MAX_TEXT

TODAY = date(2026, 7, 1)  # a Wednesday


def read(text: str, kind: Kind) -> object:
    return Reading(text, TODAY).value(kind)


DATES = {
    "2026-07-06": [
        "July 6th",
        "July 6",
        "july sixth",
        "JULY SIXTH!",
        "Jul 6",
        "on Jul. 6",
        "July the sixth",
        "the sixth of July",
        "6 July",
        "6th July 2026",
        "July 6, 2026",
        "July sixth, twenty twenty six",
        "7/6",
        "7/6/2026",
        "2026-07-06",
        "the 6th",
        "on the sixth, please",
        "the sixth of this month",
        "Monday",
        "next Monday",
        "this coming Monday",
        "Monday next week",
        "next week on Monday",
        "Monday the sixth",
        "Monday, July 6th",
        "on mondays",
        "in five days",
        "5 days from now",
        "I would like a dental cleaning on July sixth.",
        "July seventh, no, sorry, the sixth of July",
        "not on July seventh but on July sixth",
        "July sixth instead of July seventh",
        "move it from July ninth to July sixth",
        "July ninth does not work, what about July sixth?",
        "I can't on the seventh, so the sixth of July",
        "Monday or Tuesday",
    ],
    "2026-07-01": ["today", "July first", "tonight"],
    "2026-07-02": ["tomorrow", "tommorow", "a day from now", "Thursday this week"],
    "2026-07-03": ["the day after tomorrow", "Friday", "this Friday", "on fri"],
    "2026-07-10": ["next Friday", "Friday week", "a week on Friday", "Friday next week", "the friday after next"],
    "2026-07-08": ["a week from today", "in a week", "in 7 days", "in seven days", "a week today"],
    "2026-07-15": ["in two weeks", "in a fortnight", "two weeks from now", "in a couple of weeks"],
    "2026-07-23": ["the twenty-third of July", "july twenty third", "July 23rd", "the 23rd"],
    "2026-08-15": ["the fifteenth of next month", "August 15th", "15 august"],
    "2027-06-30": ["June 30th"],
    "2028-02-29": ["February 29th"],
    "2026-12-24": ["december twenty fourth", "24/12", "Dec 24"],
    "2026-07-04": ["next saturday is too late, this Saturday"],
}
NO_DATES = [
    "the first one",
    "the second slot",
    "wait a second",
    "May I come in?",
    "in the morning",
    "next week",
    "not on Monday",
    "February 30th",
    "13/13",
    "every Monday",
    "half past nine",
    "nine people",
    "",
]
TIMES = {
    "09:30": [
        "9:30",
        "09:30",
        "9.30",
        "9h30",
        "0930",
        "nine thirty",
        "nine-thirty",
        "at nine thirty",
        "half past nine",
        "half past 9",
        "half nine",
        "nine thirty a.m.",
        "9:30 AM",
        "9:30am",
        "nine thirty in the morning",
        "The nine thirty slot, please. My name is Maria Lopez.",
        "July sixth at nine thirty",
        "Good afternoon, nine thirty please",
        "eleven, no, nine thirty",
        "nine thirty or eleven",
        "not eleven but nine thirty",
        "Eleven doesn't work. Half past nine?",
        "tomorrow morning at half past nine",
        "930 works for me",
        "9-30 in the morning sounds good",
        "the 931, please",
    ],
    "16:20": ["Could we do 420?", "could we do for 20 in the afternoon", "The 421."],
    "09:00": [
        "nine",
        "nine o'clock",
        "9 o clock",
        "at nine",
        "9 am",
        "at 9 in the morning",
        "nine hundred hours",
        "0900",
    ],
    "09:05": ["nine oh five", "five past nine", "9:05"],
    "09:20": ["nine twenty", "twenty past nine", "twenty minutes past nine"],
    "09:45": ["quarter to ten", "a quarter to ten", "nine forty-five", "15 minutes to ten"],
    "16:15": ["quarter past four", "a quarter after four", "four fifteen", "16:15", "4:15 pm"],
    "11:00": ["eleven", "at eleven", "the eleven slot", "11", "move it to eleven", "eleven o'clock sharp"],
    "11:40": ["twenty to twelve", "eleven forty", "twenty minutes to twelve"],
    "14:30": ["2:30", "two thirty", "half past two", "half two", "14:30", "2:30 pm", "two thirty in the afternoon"],
    "12:00": ["noon", "twelve", "twelve o'clock", "midday", "12 pm"],
    "15:30": [
        "three thirty",
        "in the afternoon, half past three",
        "15:30",
        "half pass 3 in the afternoon instead of 10 in the morning",
        "At 330, please",
    ],
    "19:00": ["seven in the evening", "7 pm", "seven p. m.", "19:00"],
    "13:00": ["one o'clock", "at one", "one", "1 pm"],
    "02:30": ["02:30", "two thirty in the morning"],
}
NO_TIMES = [
    "in the afternoon",
    "for two people",
    "I have three kids",
    "no one",
    "one moment",
    "after ten",
    "between nine and eleven",
    "July sixth",
    "on the 9th",
    "25:00",
    "5551234",
    "room nine",
    "order 1045",
    "the 231 bus",
    "it is DC-0706-0930",
    "DC 0706 0930 on Thursday afternoon",
    "120 dollars",
    "call 911",
    "the next ten days",
    "",
]
NAMES = {
    "Maria Lopez": [
        "My name is Maria Lopez.",
        "my name is maria lopez and I need a cleaning",
        "MY NAME IS MARIA LOPEZ",
        "Please cancel it. My name is maria lopez.",
        "The name's Maria Lopez",
        "This is Maria Lopez.",
        "I'm Maria Lopez, hello",
        "Nine thirty for Maria Lopez, please",
        "Maria Lopez.",
        "Yes, it's Maria Lopez",
        "Maria Lopez speaking",
        "Maria Lopez is my name",
        "under the name of Maria Lopez",
        "Mrs Maria Lopez",
        "Maria Lopez, L O P E Z",
        "I am not John Smith. My name is Maria Lopez.",
        "9:30 Maria Lopez",
        "half past nine, Maria Lopez",
        "it's DC-0706-0930, Maria Lopez",
        "cancel DC-0706-0930 Maria Lopez",
        "It's DC-0706-0930, name Maria Lopez",
        "Nine thirty in the morning Maria Lopez, please",
    ],
    "John O'Neill": ["it's for John O'Neill at nine", "my name is john o'neill"],
    "Anna de la Cruz": ["Anna de la Cruz speaking", "my name is anna de la cruz"],
    "Jean-Luc Picard": ["name's Jean-Luc Picard, thanks", "My name is Jean-Luc Picard"],
    "José García": ["José García is my name", "My name is José García"],
    "Maria": ["My name is Maria", "I am Maria."],
    "Eve Long": ["nine thirty, Eve Long", "My name is Eve Long"],
    "Will Smith": ["My name is Will Smith"],
}
NO_NAMES = [
    "I'm looking for an appointment",
    "I'm sick",
    "this is urgent",
    "it's for my daughter",
    "I would like a dental cleaning on July sixth.",
    "maria lopez",
    "Dental Cleaning",
    "Good morning!",
    "Monday",
    "it's DC-0706-0930",
    "Half past nine on Friday the third",
    "Dental Cleaning At Nine",
    "",
]
NUMBERS = {
    "order 1043": 1043,
    "three people": 3,
    "two hundred and five": 205,
    "one point five": 1.5,
    "four, no, five": 5,
    "two people on July sixth": 2,
    "nobody": None,
}


@pytest.mark.parametrize(("text", "day"), [(text, day) for day, texts in DATES.items() for text in texts])
def test_a_date_is_one_value_however_it_is_said(text: str, day: str):
    assert read(text, "date") == day


@pytest.mark.parametrize("text", NO_DATES)
def test_what_is_no_date_is_none(text: str):
    assert read(text, "date") is None


@pytest.mark.parametrize(("text", "at"), [(text, at) for at, texts in TIMES.items() for text in texts])
def test_a_time_is_one_value_however_it_is_said(text: str, at: str):
    assert read(text, "time") == at


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_none(text: str):
    assert read(text, "time") is None


@pytest.mark.parametrize(("text", "name"), [(text, name) for name, texts in NAMES.items() for text in texts])
def test_a_name_is_found_by_what_stands_around_it(text: str, name: str):
    assert read(text, "name") == name


@pytest.mark.parametrize("text", NO_NAMES)
def test_what_is_no_name_is_none(text: str):
    assert read(text, "name") is None


def test_a_bare_name_may_be_all_that_is_said_in_small_letters():
    assert read("maria lopez", "bare name") == "Maria Lopez"
    assert read("then 4:20 pm maria lopez", "bare name") == "Maria Lopez"
    assert read("could we do ten o'clock maria lopez", "bare name") == "Maria Lopez"
    for text in ("yes, please", "half past nine sounds good", "ten works", "hm ok, bye", "DC 0706 0930", "no 9:30"):
        assert read(text, "bare name") is None
    assert Reading("root canal", TODAY).value("bare name", others=["root", "canal"]) is None


@pytest.mark.parametrize(("text", "number"), NUMBERS.items())
def test_a_number_is_read_in_words_and_figures(text: str, number: float | None):
    assert read(text, "number") == number


def test_a_choice_is_one_of_its_phrases_and_the_last_counts():
    service = Choice({"dental cleaning": ("cleaning", "teeth cleaned"), "dental check-up": ("check-up", "checkup")})
    assert read("Could I have my teeth cleaned?", service) == "dental cleaning"
    assert read("two check ups", service) == read("a CHECKUP", service) == "dental check-up"
    assert read("a cleaning, no, a check-up", service) == "dental check-up"
    assert read("not a cleaning", service) is None
    assert read("the cleaninglady", service) is None
    assert read("Thirty-one please", Choice(("thirty-one",))) == "thirty-one"


def test_a_code_is_read_with_its_dashes_or_without_and_figure_by_figure():
    reference = Code(("AA-9999-9999", "A-9999-9999"))
    for text in (
        "cancel DC-0706-0930",
        "it's dc 0706 0930.",
        "D C zero seven zero six zero nine three zero",
        "D, C; zero, seven, zero, six; zero, nine, three, zero.",
        "DC dash oh seven oh six dash oh nine three oh",
    ):
        assert read(text, reference) == "DC-0706-0930", text
    assert read("V 0710 1530", reference) == "V-0710-1530"
    assert read("ADC-0706-0930", reference) is read("DC-0706-093", reference) is None


def test_every_spoken_date_and_time_is_read_back_as_it_was():
    for days in range(0, 365, 3):
        day = (TODAY + timedelta(days=days)).isoformat()
        assert read(f"{spoken_date(day)}, please", "date") == day
        assert read(f"on {spoken_date(day, weekday=True)}.", "date") == day
    for minutes in range(0, 24 * 60, 7):
        at = f"{minutes // 60:02}:{minutes % 60:02}"
        assert read(f"It is at {spoken_time(at)}.", "time") == at
    assert read(spelled("DC-0706-0930"), Code(("AA-9999-9999",))) == "DC-0706-0930"


def test_values_are_said_as_people_say_them():
    assert spoken_date("2026-07-06") == "July sixth"
    assert spoken_date("2026-07-23", weekday=True) == "Thursday, July twenty-third"
    assert [spoken_time(at) for at in ("09:30", "11:00", "16:20", "12:00", "20:45")] == [
        "half past nine",
        "eleven o'clock",
        "four twenty",
        "noon",
        "quarter to nine in the evening",
    ]
    assert spelled("V-07") == "V; zero, seven"
    assert [spoken_list(values, "or") for values in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a or b",
        "a, b or c",
    ]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (
            "day",
            "expected date, time, number, name, bare name, {choice: [WORDS, …]} or {code: SHAPE}, got the text 'day'",
        ),
        (7, "got a int"),
        ({"choices": ["a"]}, "got a mapping with choices"),
        ({"choice": []}, "expected 1 to 500 phrases, got 0"),
        ({"choice": ["  "]}, "expected words that a caller says, got '  '"),
        ({"choice": {"a": ["x"], "b": ["X"]}}, "'X' stands for 'a' already; a phrase has one value"),
        ({"code": "AB-12"}, "expected A for a letter, 9 for a figure, spaces and dashes, got 'AB-12'"),
        ({"code": []}, "expected a shape such as AA-9999, got none"),
    ],
)
def test_a_kind_that_there_is_not_is_refused_with_what_to_write(given: object, complaint: str):
    with pytest.raises(ValueError) as refused:
        kind_of(given)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "bit", ["mon ", "a week on ", "july ", "9 ", "for ", "my name is ", "(", "half past ", "'", "A9"]
)
def test_hostile_words_cost_no_more_than_their_first_two_minutes(bit: str):
    kinds: tuple[Kind, ...] = ("date", "time", "number", "bare name", Choice(("a b c d",)), Code(("AA-9999-9999",)))
    text = bit * (50 * MAX_TEXT // len(bit))
    values = [Reading(text, TODAY).value(kind) for kind in kinds]
    assert values == [Reading(text[:MAX_TEXT], TODAY).value(kind) for kind in kinds]


@pytest.mark.slow
def test_nothing_of_it_is_loaded_before_something_is_captured():
    code = (
        "import sys; from realtape import Scenario; from mockserver.responders.base import Turn\n"
        "s = Scenario.parse('turns: [{reply: [{say: Hi}]}]'); list(s.responder().reply(Turn(0, 'July sixth')))\n"
        "print('text_to_num' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout == "False\n"


@pytest.mark.parametrize("text", ["</script>", "1/", "/2", "and/or", "1234-ab-cd", "9999-99-99", "99/99", "²/³"])
def test_figures_that_are_no_date_are_none(text: str):
    assert read(text, "date") is None
