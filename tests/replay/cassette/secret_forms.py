"""How secrets are written, and what only looks like one. SECRET is the secret, BASIC it as a password in base64."""

from __future__ import annotations

GO_TEXT = r"""
api_key=SECRET
note: api_key=SECRET
note: the api_key = SECRET, keep it
env:OPENAI_API_KEY=SECRET
export XAI_API_KEY=SECRET
set XAI_API_KEY=SECRET && run
OPENAI_API_KEY='SECRET' python agent.py
MY_SERVICE_API_KEY_2=SECRET
DB_PASSWORD_PROD=SECRET
stripe_secret_key: SECRET
aws_secret_access_key=SECRET
aws_session_token = SECRET
secretKey: SECRET
secret-key: SECRET
signing_key=SECRET
signingSecret=SECRET
webhook_secret: SECRET
encryption_key := SECRET
"private_key" => "SECRET"
client_secret -> SECRET
access_token=SECRET
refresh_token: SECRET
bot_token=SECRET
csrftoken: SECRET
auth_token: SECRET
token=SECRET
token: SECRET
sig=SECRET
signature: SECRET
pwd=SECRET
pwd: SECRET
pass=SECRET
passwd: SECRET
passcode: SECRET
passphrase=SECRET
dbpassword=SECRET
Password : SECRET
PASSWORD=SECRET
password="SECRET"
password='SECRET'
password=`SECRET`
password="a b SECRET"
password: x,SECRET
password: x;SECRET
password: x&SECRET
password: (SECRET)
password=SECRET, please
12:30: password=SECRET
at 12:30:00 password: SECRET
Passwort: SECRET
Kennwort: SECRET
contraseña: SECRET
senha: SECRET
wachtwoord: SECRET
the password is SECRET
my password was SECRET until May
Das Passwort lautet SECRET
I set the password to SECRET
my API key is SECRET
the API key: SECRET
Access key: SECRET
the secret token is SECRET
password SECRET
machine h login me password SECRET
token SECRET
[db]\npassword = SECRET
db:\n  password: SECRET
password:\n  SECRET
a=1&password=SECRET&b=2
user=me;password=SECRET;database=x
Server=db;User Id=me;Password=SECRET;
{"api_key": "SECRET"
body: {"api_key": "SECRET"}
the body was {\"password\":\"SECRET\"}
{'password': 'SECRET'}
{password: SECRET}
Authorization: Bearer SECRET
Authorization: Token SECRET
Authorization: Basic BASIC
Authorization: ApiKey SECRET
Authorization: SECRET
Authorization: Custom SECRET
Authorization: Digest username="me", response="SECRET"
Authorization: AWS4-HMAC-SHA256 Credential=x/y, Signature=SECRET
authorization=Bearer SECRET
Proxy-Authorization: Basic BASIC
'Authorization': 'Bearer SECRET'
-H "Authorization: Bearer SECRET"
-H 'X-Api-Key: SECRET'
x-api-key: SECRET
X-Auth-Token: SECRET
X-Auth-Key: SECRET
api-key: SECRET
Ocp-Apim-Subscription-Key: SECRET
Cookie: a=b; sid=SECRET
Set-Cookie: sid=SECRET; Path=/; HttpOnly
the login is Basic BASIC
he sent Bearer SECRET
curl -u user:SECRET https://api.example.com
curl --user user:SECRET https://api.example.com
curl --proxy-user me:SECRET https://api.example.com
mysql --password SECRET
mysql --password=SECRET -h db
tool --api-key SECRET --verbose
tool --api-key="SECRET"
tool --token SECRET
tool -password SECRET
https://h/sse?api_key=SECRET
https://h/sse?a=1&api_key=SECRET
https://h/sse?access_token=SECRET&b=2
https://h/sse?apikey=SECRET#top
https://h/sse?key=SECRET
https://h/sse?auth=SECRET
https://h/sse?token=SECRET
https://h/sse?api%5Fkey=SECRET
https://h/cb#access_token=SECRET&state=1
https://h/blob?sv=2024&sig=SECRET
https://h/o?X-Amz-Signature=SECRET
https://h/o?X-Amz-Security-Token=SECRET
see https://h/sse?api_key=SECRET.
https://user:SECRET@h
https://user:SECRET@h:8443/path
https://:SECRET@h/
https://SECRET@sentry.example/1
postgres://clinic:SECRET@db/prod
db: postgres://clinic:SECRET@db/prod
postgres://clinic:a/SECRET@db/prod
redis://:SECRET@cache:6379/0
amqps://me:SECRET@mq.example.com/vhost
mongodb+srv://me:SECRET@cluster.example.net/x
git clone https://oauth2:SECRET@git.example.com/x.git
<password>SECRET</password>
<apiKey>SECRET</apiKey>
<ns:clientSecret>SECRET</ns:clientSecret>
-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----
-----BEGIN RSA PRIVATE KEY-----\nSECRET\n-----END RSA PRIVATE KEY-----
-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET
-----BEGIN PGP PRIVATE KEY BLOCK-----\nSECRET\n-----END PGP PRIVATE KEY BLOCK-----
xai-SECRET
sk-SECRET
sk-proj-SECRET
sk-ant-api03-SECRET
ek_SECRET
the key sk-SECRET, and more
asksk-SECRET
ghp_SECRET
gho_SECRET
github_pat_SECRET
glpat-SECRET
hf_SECRET
gsk_SECRET
npm_SECRET
xoxb-1234-SECRET
xapp-token: xoxe-SECRET
sk_live_SECRET
sk_test_SECRET
rk_live_SECRET
whsec_SECRET
SG.SECRET
https://hooks.slack.com/services/T000/B000/SECRET
xai-realtime-client-secret-SECRET
openai-insecure-api-key.SECRET
xai-client-secret.SECRET
"""

GO_FIELDS = r"""
{"api_key": "SECRET"}
{"apiKey": "SECRET"}
{"API-Key": "SECRET"}
{"secret_key": "SECRET"}
{"secretKey": "SECRET"}
{"secret": "SECRET"}
{"pwd": "SECRET"}
{"pass": "SECRET"}
{"passwd": "SECRET"}
{"pass\u0077ord": "SECRET"}
{"\u0070\u0061\u0073\u0073\u0077\u006f\u0072\u0064": "SECRET"}
{"password": "one two SECRET"}
{"X-Auth-Key": "SECRET"}
{"x-api-key": "SECRET"}
{"signing_key": "SECRET"}
{"encryptionKey": "SECRET"}
{"auth": "SECRET"}
{"auth": {"user": "me", "pass": "SECRET"}}
{"credentials": "SECRET"}
{"credentials": {"value": "SECRET"}}
{"client_secret": {"value": "SECRET"}}
{"secretAccessKey": "SECRET"}
{"accountKey": "SECRET"}
{"authorization": "SECRET"}
{"authorization": "Token SECRET"}
{"headers": {"Whatever": "SECRET"}}
{"headers": [["Whatever", "SECRET"]]}
{"headers": [{"name": "Whatever", "value": "SECRET"}]}
{"cookie": "a=b; sid=SECRET"}
{"token": "SECRET"}
{"access_token": "SECRET"}
{"id_token": ["SECRET"]}
{"env": [{"name": "OPENAI_API_KEY", "value": "SECRET"}]}
{"env": [{"value": "SECRET", "name": "OPENAI_API_KEY"}]}
{"env": {"OPENAI_API_KEY": "SECRET"}}
{"env": ["OPENAI_API_KEY=SECRET"]}
{"args": ["--api-key", "SECRET"]}
{"args": ["--password=SECRET"]}
{"pairs": [["api_key", "SECRET"]]}
{"inner": "{\"password\": \"SECRET\"}"}
{"inner": "{\"inner\": \"{\\\"password\\\": \\\"SECRET\\\"}\"}"}
{"server_url": "https://mcp.example.com/sse?api_key=SECRET"}
{"server_url": "https://mcp.example.com/sse?a=1&api_key=SECRET"}
{"server_url": "https:\/\/user:SECRET@mcp.example.com\/sse"}
{"server_url": "https://user:SECRET@mcp.example.com/sse"}
{"text": "line one\npassword: SECRET\nline three"}
{"sk-SECRET": 1}
{"xai": {"_internal": {"trace": "SECRET"}}}
{"parameters": {"properties": {"password": {"type": "string", "default": "SECRET"}}}}
{"a": NaN, "api_key": "SECRET"}
{"a": 1, "api_key": "SECRET"
{"note": "Basic BASIC"}
"""

STAY_TEXT = r"""
note: the token count is 12345678
tokens: 1234567890123456
max_tokens: 4096
total_tokens=123456789
the key: C sharp minor, please
key: C major
the key is under the mat
the key to the room is 4711
Keyword: orthodontics
keywords=tooth,crown,bridge
keyboard: German layout
monkey: see, do
turkey=roast
password reset link sent to the patient
the password is required
Password: required at the desk
password: please reset it
forgot password? call us
passwords are never asked for
the secret is out
a secret to success: patience
secretary: Monday to Friday
Secretariat: open at eight
token of appreciation: flowers
a token gesture
tokenizer: fast
bearer of good news
bearer: anyone
Basic: checkup and cleaning
basic cleaning costs 90
Basic dental insurance
authorization: ask your insurer first
Authorization required for root canals
author: Anna Beispiel
authors=Beispiel and Muster
authentic: yes
cookie: chocolate chip
cookies are in the waiting room
passport: bring it along
passengers: two adults
bypass: heart, 2019
compass=north
pass: gate 12
boarding pass: gate 12
cwd=/srv/project
pwd: /srv/project
api_key=$XAI_API_KEY
api_key=${XAI_API_KEY}
password={{ password }}
password=<your password>
export XAI_API_KEY=$OPENAI_API_KEY
password=None
token=null
https://clinic.example/book?slot=2026-07-06T10:00&step=2
https://clinic.example/book?key=value&page=3
https://user@mail.example.com/
https://medium.example/@user/story
https://clinic.example:8443/@user
mailto:anna@example.com
anna.beispiel@example.com
ssh git@github.com:owner/name.git
12:30: bring your insurance card
10:00-11:30: cleaning
2026-07-06T10:00:00.000Z
sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
md5=d41d8cd98f00b204e9800998ecf8427e
commit 3f786850e387550fdab836ed7e6dc881de23001b
etag: "33a64df551425fcc55e4d42a148795d9f25f89d4"
item_0123456789abcdef01234567
the item is item_CkT4hQ2mN8pR6sV0
resp_68a1b2c3d4e5f60718293a4b5c6d7e8f
call_aB3dE5fG7hI9jK1lM3nO5pQ7
conv_2f1d7c3e-8a4b-4c55-9d2e-0f6a7b8c9d0e
id: 2f1d7c3e-8a4b-4c55-9d2e-0f6a7b8c9d0e
request id: req_011CSHoEeqs5C35K2UUqR7Fy
desk-chairs-for-room-2026-07
risk-assessment-2026-final-report
task-management-of-everything
ask-me-anything-2026
sk-learn-pipelines
xai-voice-agent-api-docs
grok-voice-think-fast-1.0
gpt-realtime-2025-08-28
gpt-4o-mini-transcribe
week_number_2026_07
the weekly week_end_report_2026
seek_and_you_shall_find_2026
curl -u is an option
use --password to set one
ls --key 3
-p 8080
total: 90.00 USD
price=129,90 EUR
phone: +49 30 1234567
tel:+493012345678
IBAN: DE89 3704 0044 0532 0130 00
tooth 36: crown
room: B-204
date=2026-07-06&time=10:00
rate: 24000 Hz
type=server_vad
voice: ara
eyJ
eyJhbGciOiJIUzI1NiJ9
AKIA
the AIza prefix
Akiasurgery2026
-----BEGIN CERTIFICATE-----\nMIIB0123456789abcdef\n-----END CERTIFICATE-----
-----BEGIN PUBLIC KEY-----\nMIIB0123456789abcdef\n-----END PUBLIC KEY-----
<key>C major</key>
<title>Password reset</title>
Is this to be a crown or a bridge?
It is 10:30 and the patient is here
"""

STAY_FIELDS = r"""
{"key": "C major scale"}
{"key": "value"}
{"key": "ArrowDown"}
{"total_tokens": 123456789}
{"input_token_details": {"text_tokens": 7, "cached_tokens": 0}}
{"max_output_tokens": 4096}
{"token": "hello", "logprob": -0.1}
{"token": "internationalization", "logprob": -0.1}
{"next_page_token": "CAUQAA0123456789abcdef"}
{"author": "Anna Beispiel"}
{"passengers": "two adults"}
{"cwd": "/srv/project"}
{"pwd": "/srv/project"}
{"pass": "yes"}
{"pass": true}
{"auth": "none"}
{"auth": "oauth2"}
{"credentials": "include"}
{"cookie": "chocolate chip"}
{"keywords": ["crown", "bridge"]}
{"public_key": "MIIB0123456789abcdefABCDEF"}
{"primary_key": "patient_id"}
{"idempotency_key": "2f1d7c3e8a4b4c559d2e0f6a7b8c9d0e"}
{"prompt_cache_key": "clinic-2026-v12a34b56"}
{"env": [{"name": "CLINIC_CITY", "value": "Zwickau-Planitz"}]}
{"name": "get_password_rules", "description": "what a password needs"}
{"required": ["password", "email"]}
{"enum": ["api_key", "basic", "none"]}
{"parameters": {"properties": {"password": {"type": "string", "description": "theirs"}}}}
{"parameters": {"properties": {"api_key": {"type": "string"}, "headers": {"type": "object"}}}}
{"id": "item_CkT4hQ2mN8pR6sV0", "previous_item_id": "msg_9f8e7d6c5b4a39281706"}
{"sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
{"arguments": "{\"date\": \"2026-07-06\", \"service\": \"dental cleaning\"}"}
{"model": "grok-voice-think-fast-1.0"}
{"expires_at": 1796040000}
{"usd": "0.0123", "seconds": 12.5}
{"at": "2026-11-30T10:00:00Z"}
{"bytes": [115, 107, 45]}
{"a": 1e5, "b": [1.0,  2], "c": "\ud83d\u00e9 \/ \""}
"""


def rows(table: str) -> list[str]:
    """The rows of a table; `\\n` in a text is a line break."""
    return [row for row in table.strip().split("\n") if row]


def texts(table: str) -> list[str]:
    """The rows of a table of texts."""
    return [row.replace("\\n", "\n") for row in rows(table)]
