"""What the name beside a value tells: whether the value is a secret, could be one, or has nothing to do with it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from replay.secrets import values

Strength = Literal["secret", "value", "maybe", "key"]
"""How much a name tells. `secret`: each value is one. `value`: unless it is an ordinary word, number or path.
`maybe`: if it is long, or not ordinary. `key`: if it looks random."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SUFFIX = re.compile(r"_(?:value|string|text|plain|prod|production|dev|test|staging|live|base64|b64|old|new|v?\d+)$")
_OWNERS = (
    "private|access|secret|signing|signature|encryption|master|auth|authentication|service|shared|subscription|account"
    "|storage|license|webhook|hmac|ssh|deploy|admin|root|client|consumer|application|app|bot|functions|server|host|ws"
    "|xai|openai|azure|anthropic|google|gemini|aws|twilio|plivo|livekit|stripe|deepgram|elevenlabs|assemblyai|cartesia"
    "|groq|mistral|cohere|sendgrid|mailgun|datadog|sentry|github|gitlab|slack|supabase|firebase"
)
_SECRET = re.compile(
    rf"(?:^|_)(?:api_?keys?|(?:{_OWNERS})_?keys?|secrets?|pass_?words?|passwd|passphrase|passcode|passwort|kennwort"
    r"|contrasena|wachtwoord|mot_de_passe|senha|authorization|jwt|private_key_pem"
    r"|(?:access|auth|authentication|refresh|id|session|bearer|security|ephemeral|client|api|csrf|xsrf|bot|push|deploy"
    r"|personal_access|verification|login|oauth|sas|device|service|account|admin|github|gitlab|slack|hf|vault)_?token)$"
)
_GLUED = re.compile(
    r"(?:password|passwd|passwort|passphrase|apikey|secretkey|privatekey|accesskey|authkey|signingkey|masterkey"
    r"|encryptionkey|authtoken|accesstoken|refreshtoken|sessiontoken|clientsecret|apisecret|appsecret)$"
)
_VALUE = re.compile(r"(?:^|_)(?:pwd|pswd|pw|pass|auth|credentials?|creds?|bearer|cookies?|sid|sessid|sessionid|dsn)$")
_MAYBE = re.compile(r"(?:^|_)(?:token|signature|sig|sas|hmac)$")
_NO_TOKEN = re.compile(
    r"(?:^|_)(?:page|next|prev|previous|continuation|pad|eos|bos|stop|special|sync|start|end)_token$"
)
_KEY = re.compile(r"(?:^|_)keys?$")
_NO_KEY = re.compile(
    r"(?:^|_)(?:public|primary|foreign|cache|idempotency|sort|partition|object|row|dedup|group|lookup|i18n|translation"
    r"|message)_keys?$"
)
_INTERNAL = re.compile(
    r"^(?:(?:x|xai|openai|grok|provider)_)?internal(?:_(?:\w*info|metadata|data|debug|state|context))?$"
)
_LONGEST = 100


def normal(name: str) -> str:
    """`apiKey`, `API-Key` and `api_key` are one name. Only the last 100 characters are looked at."""
    return _normal(name[-_LONGEST:])


@lru_cache(maxsize=4096)
def _normal(name: str) -> str:
    plain = name.replace("\xf1", "n").replace("\xc3\xb1", "n")  # ñ, also as the bytes of UTF-8
    return "_".join(word.lower() for word in _WORDS.findall(plain))


def strength(name: str) -> Strength | None:
    """What this name tells; None for one that tells nothing."""
    return _strength(name[-_LONGEST:])


@lru_cache(maxsize=4096)
def _strength(name: str) -> Strength | None:
    plain = _normal(name)
    short = _SUFFIX.sub("", plain)
    if _SECRET.search(short) or _GLUED.search(short.rpartition("_")[2]):
        return "secret"
    if _VALUE.search(short):
        return "value"
    if _MAYBE.search(short):
        return None if _NO_TOKEN.search(short) else "maybe"
    return "key" if _KEY.search(short) and not _NO_KEY.search(short) else None


def tells(name: str, value: str) -> bool:
    """Whether the value under this name is a secret. The value is not empty."""
    match strength(name):
        case None:
            return False
        case "secret":
            return True
        case "value":
            return len(value) >= 4 and not values.ordinary(value) and not _spaced(value)
        case "maybe":
            if _spaced(value) or value.isalpha():
                return False
            return len(value) >= 16 or (len(value) >= 8 and not values.ordinary(value))
        case "key":
            return values.random(value) and not _spaced(value)


def _spaced(value: str) -> bool:
    """Whether it has several words. A cookie's pairs have spaces too."""
    return " " in value[: values.LOOKED_AT].strip() and "=" not in value[: values.LOOKED_AT]


def internal(name: str) -> bool:
    """A field that a provider keeps for itself, such as `_internal`."""
    return _internal(name[-_LONGEST:])


@lru_cache(maxsize=4096)
def _internal(name: str) -> bool:
    return _INTERNAL.match(_normal(name)) is not None


def kind(name: str) -> str:
    """The kind of secret that a name tells of, for its placeholder."""
    plain = normal(name)
    for word, found in (("cookie", "cookie"), ("token", "token"), ("pass", "password"), ("key", "api-key")):
        if word in plain:
            return found
    if plain.endswith(("pwd", "pw", "kennwort", "contrasena", "senha", "wachtwoord")):
        return "password"
    return "authorization" if "auth" in plain else "secret"
