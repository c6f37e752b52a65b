"""Emergencies in the languages of the table, and words that only resemble them."""

from __future__ import annotations

import pytest

from clinic_agent.clinic.emergency import LANGUAGES, emergency

EMERGENCIES = {
    "en": [
        "I can't breathe",
        "I can’t breathe",
        "no i cannot breathe",
        "He is bleeding heavily",
        "The wound won't stop bleeding.",
        "pain in my chest",
        "My chest hurts since this morning",
        "She passed out in the kitchen",
        "I think it is a stroke",
        "He took an overdose",
        "call an ambulance",
        "There is blood everywhere",
        "My daughter swallowed a battery",
        "He took too many pills",
        "She is not responding and I can't wake her, she won't wake up",
        "I can't move my left arm",
        "Half of my face went numb",
        "I think it is an allergic reaction",
    ],
    "es": [
        "No puedo respirar.",
        "no no puedo respirar",
        "Tengo dolor en el pecho desde esta mañana",
        "Me duele mucho el pecho",
        "Siento una opresión en el pecho",
        "Creo que es un infarto",
        "Me cuesta respirar",
        "Me falta el aire",
        "Está sangrando mucho",
        "No para de sangrar",
        "Mi madre se ha desmayado",
        "Mi padre está inconsciente",
        "Se ha tomado una sobredosis",
        "Se me cierra la garganta",
        "Necesito una ambulancia",
        "¡Es una emergencia!",
    ],
    "de": [
        "Ich kann nicht atmen.",
        "nein nicht ich kann nicht atmen",
        "Ich bekomme keine Luft",
        "Ich habe Schmerzen in der Brust",
        "Ich habe starke Brustschmerzen",
        "Mir tut die Brust weh",
        "Ich spüre einen Druck auf der Brust",
        "Mein Mann hat einen Herzinfarkt",
        "Ich glaube, es ist ein Schlaganfall",
        "Er blutet sehr stark",
        "Es hört nicht auf zu bluten",
        "Sie ist bewusstlos",
        "Sie ist in Ohnmacht gefallen",
        "Er hat eine Überdosis genommen",
        "Mein Hals schwillt zu",
        "Ich brauche einen Krankenwagen",
        "Das ist ein Notfall!",
    ],
    "fr": [
        "Je ne peux pas respirer.",
        "Je n'arrive plus à respirer",
        "Il ne respire plus",
        "J'ai mal à la poitrine",
        "J'ai une douleur dans la poitrine",
        "Ma poitrine me fait mal",
        "C'est une crise cardiaque",
        "Elle a fait un AVC",
        "J'ai du mal à respirer",
        "Il saigne beaucoup",
        "Ça n'arrête pas de saigner",
        "Il est inconscient",
        "Ma mère s'est évanouie",
        "Elle a pris une surdose",
        "Ma gorge gonfle",
        "Appelez une ambulance",
        "C’est une urgence",
    ],
}
ORDINARY = {
    "en": [
        "A cleaning, please",
        "I have no chest pain, just a toothache",
        "It is not an emergency",
        "I want my teeth cleaned on Monday",
        "Stop, not Monday",
        "I can't move my appointment to Tuesday",
    ],
    "es": [
        "Quisiera una limpieza dental el seis de julio",
        "No tengo dolor en el pecho",
        "No es una emergencia",
        "Sin dificultad para respirar",
        "Me duele una muela",
        "No puedo el lunes",
    ],
    "de": [
        "Ich hätte gern eine Zahnreinigung am sechsten Juli",
        "Ich habe keine Schmerzen in der Brust",
        "Das ist kein Notfall",
        "Ich kann am Montag nicht",
        "Der Zahn tut weh",
        "Das Zahnfleisch blutet manchmal",
    ],
    "fr": [
        "Je voudrais un détartrage le six juillet",
        "Je n'ai pas de douleurs dans la poitrine",
        "Ce n'est pas une urgence",
        "Je ne peux pas lundi",
        "J'ai mal à une dent",
    ],
}


def test_each_language_of_the_table_is_tested():
    assert LANGUAGES.keys() == EMERGENCIES.keys() == ORDINARY.keys()


@pytest.mark.parametrize(("language", "text"), [(tag, text) for tag, texts in EMERGENCIES.items() for text in texts])
def test_an_emergency_is_recognised(language: str, text: str):
    assert emergency(f"Hello. {text}") is not None


@pytest.mark.parametrize(("language", "text"), [(tag, text) for tag, texts in ORDINARY.items() for text in texts])
def test_other_words_are_no_emergency(language: str, text: str):
    assert emergency(text) is None


def test_a_denial_covers_only_the_words_after_it():
    assert emergency("No chest pain, but my husband passed out.") == "passed out"


def test_a_long_text_is_read_quickly():
    assert emergency("no pain in the arm and not a lot of trouble " * 2000) is None
