"""Words that sound like a medical emergency, in English, Spanish, German and French.

The words are matched after `folded`: in lower case, without accents, umlauts and hyphens. The lists are hand-made. They
match generously, since a false alarm costs a question, and a missed one may cost more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from clinic_agent.clinic.spoken import folded


@dataclass(frozen=True, slots=True)
class Language:
    """The emergencies of one language.

    `denied` matches the words before a sign if they deny it, such as "no chest pain". `cries` have
    their own "not" ("cannot breathe"), so nothing before them denies them.
    """

    signs: re.Pattern[str]
    cries: re.Pattern[str]
    denied: re.Pattern[str]


def _language(signs: str, cries: str, denied: str) -> Language:
    """Each of the three is a pattern on lines of its own."""
    signs, cries, denied = (re.sub(r"\n\s*", "|", text.strip()) for text in (signs, cries, denied))
    return Language(re.compile(signs), re.compile(cries), re.compile(rf"\b(?:{denied})(?: \w+){{0,2}}\s*$"))


LANGUAGES = {
    "en": _language(
        r"""
        chest (?:is |feels )?(?:pain|hurt|ach|tight|pressure)
        (?:pain|tight\w*|pressure|hurts) (?:in|on|across) (?:\w+ )?chest
        heart attack
        (?:trouble|difficult\w*|problems?|hard to|struggl\w+ to)(?: \w+){0,2} breath
        (?:short|shortness|out) of breath
        \bchok(?:ing|ed)
        (?:heav\w+|severe\w*|bad\w*) (?:the )?bleeding
        bleed\w* (?:\w+ )?(?:a lot|heav\w+|bad\w*|everywhere|profuse\w*)
        lo(?:st|sing) (?:a lot|lots|so much) (?:of )?blood
        blood everywhere
        unconscious
        unresponsive
        passed out
        faint(?:ed|ing)
        collapsed
        \bstroke\b
        seizure
        convuls
        face (?:is )?droop
        (?:face|arm|leg|side)\b.{0,20}\bnumb
        slurred
        allergic reaction
        overdos
        too many (?:pills|tablets)
        swallowed (?:\w+ )?(?:poison|bleach|battery)
        suicid
        kill myself
        poison(?:ed|ing)
        anaphyla
        throat (?:is )?(?:swell|clos)
        \bambulance
        \b911\b
        nine one one
        medical emergency
        an emergency
        emergency room
        """,
        r"""
        (?:can.?t|cannot|can not|couldn.?t|unable to|hardly|barely)(?: \w+){0,2} breath
        (?:not|stopped|isn.?t) breathing
        (?:not|isn.?t) (?:conscious|responding)
        won.?t wake
        (?:can.?t|cannot|can not) (?:move|feel) (?:my|his|her) (?:\w+ )?(?:face|arm|leg|hand|foot|side|body)
        (?:won.?t stop|can.?t stop|keeps?) (?:the )?bleeding
        bleed\w* (?:\w+ )?(?:won.?t stop|doesn.?t stop|not stopping)
        """,
        r"""
        no
        not
        without
        never had
        don.?t have
        do not have
        isn.?t
        not an?
        """,
    ),
    "es": _language(
        r"""
        (?:dolor(?:es)?|opresion|presion|punzadas?) (?:\w+ ){0,2}(?:en|de|del) (?:(?:el|mi|su) )?pecho
        duele (?:\w+ )?(?:el|mi) pecho
        infarto
        ataque (?:al corazon|cardiaco|de corazon)
        derrame cerebral
        \bictus\b
        (?:dificultad(?:es)?|problemas) para respirar
        cuesta (?:\w+ )?respirar
        falta (?:el|de) aire
        me ahogo
        ahogand
        asfixi
        atragant
        sangr\w+ (?:mucho|muchisimo|demasiado)
        (?:mucha|perdido|perdiendo) sangre
        hemorragia
        desmay
        inconsciente
        convulsi
        sobredosis
        suicid
        matarme
        quitarme la vida
        envenen
        anafila
        (?:cierra|hincha|cerrando|hinchando) la garganta
        ambulancia
        emergencia
        (?:es una|una) urgencia\b(?! dental)
        \b112\b
        """,
        r"""
        no (?:\w+ )?(?:puedo|puede|consigo|consigue|logro|logra) (?:\w+ )?respirar
        no (?:\w+ )?respira
        no (?:\w+ )?(?:para|deja) de sangrar
        no (?:reacciona|despierta|responde)\b
        """,
        r"""
        no
        sin
        nunca
        tampoco
        ningun\w*
        """,
    ),
    "de": _language(
        r"""
        brustschmerz
        (?:schmerz\w*|druck|enge|stechen) (?:\w+ )?(?:in|auf|im) (?:(?:der|meiner|seiner|ihrer) )?brust
        (?:tut|schmerzt) (?:\w+ )?(?:die|meine|seine|ihre) brust
        brust (?:tut (?:\w+ )?weh|schmerzt)
        herzinfarkt
        herzanfall
        schlaganfall
        atemnot
        luftnot
        (?:kaum|schlecht|schwer) (?:luft|atmen)
        (?:probleme|schwierigkeiten|muhe) (?:\w+ ){0,2}(?:atmen|luft|atmung)
        blut\w* (?:\w+ ){0,2}(?:stark|heftig|sehr viel)
        (?:stark|schwer|heftig)\w* (?:\w+ )?blut(?:e\b|et|ung)
        (?:viel|so viel) blut
        bewusstlos
        ohnmacht
        zusammengebrochen
        krampfanfall
        uberdosis
        suizid
        selbstmord
        umbringen
        vergift
        anaphyla
        (?:hals|kehle|rachen) (?:schwillt|wird eng|geht zu)
        erstick
        krankenwagen
        rettungswagen
        notarzt
        \bnotfall\b
        \b112\b
        """,
        r"""
        (?:kann|kriege?|kriegt|bekomme?|bekommt) (?:\w+ ){0,2}(?:nicht|keine) (?:\w+ )?(?:atmen|luft)
        keine luft
        atmet (?:\w+ )?nicht
        hort nicht auf zu bluten
        blut\w* (?:\w+ ){0,2}hort nicht auf
        """,
        r"""
        kein\w*
        nicht
        ohne
        nie
        niemals
        weder
        """,
    ),
    "fr": _language(
        r"""
        (?:douleurs?|mal|oppression|pression|serrement) (?:\w+ ){0,2}(?:a|dans|sur|de) (?:la|ma|sa) poitrine
        douleurs? thoracique
        poitrine (?:me )?(?:fait mal|serre)
        crise cardiaque
        infarctus
        \bavc\b
        (?:du mal|de la peine|difficultes?|peine) a respirer
        (?:bout de|manque de) souffle
        etouff
        saign\w* (?:beaucoup|abondamment|enormement)
        (?:beaucoup|plein) de sang
        hemorragie
        inconscient
        evanoui
        perdu connaissance
        convulsion
        crise d.epilepsie
        overdose
        surdose
        suicid
        me tuer
        mettre fin a mes jours
        empoisonn
        intoxication
        anaphyla
        gorge (?:qui )?(?:gonfle|enfle|se ferme)
        \bambulance
        \bsamu\b
        (?:une|d.) ?urgence\b(?! dentaire)
        \b112\b
        """,
        r"""
        (?:peux|peut|arrive|arrivons) (?:plus|pas) (?:a )?(?:\w+ )?respirer
        respire (?:plus|pas)\b
        arrete pas de saigner
        """,
        r"""
        pas
        sans
        aucune?
        jamais
        ni
        """,
    ),
}
"""By language code."""


def emergency(text: str) -> str | None:
    """The words that sound like a medical emergency; None: there are none, or they are denied ("no chest pain")."""
    plain = folded(text)
    for language in LANGUAGES.values():
        if cry := language.cries.search(plain):
            return cry[0]
        for sign in language.signs.finditer(plain):
            if not language.denied.search(plain[: sign.start()]):
                return sign[0]
    return None
